// What k6 has without an import, and its types do not declare.

declare const console: { error(message: string): void };
