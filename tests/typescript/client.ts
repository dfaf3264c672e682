// What a strict client does with the generated types: it makes every op, narrows every frame by `op`
// and reads its fields, and calls the HTTP API. It only has to compile.
import type { ClientFrame, ErrorCode, InboxEntry, Message, ServerFrame } from './frames';
import type { components, paths } from './routes';

/** One of each op. An op that is missing here, or one more, does not compile. */
export const ops: { [Op in ClientFrame['op']]: Extract<ClientFrame, { op: Op }> } = {
  hello: { op: 'hello', token: 'eyJ0eXAi', device: 'phone', subscribe: ['topic.scores.>'] },
  renew: { op: 'renew', id: 2, token: 'eyJ0eXAi' },
  send: { op: 'send', id: 'a', user: 'bob@example.com', body: { text: 'Hi!' }, nonce: 'n', fresh: true },
  history: { op: 'history', id: 1, conversation: 'room.lobby', limit: 20 },
  inbox: { op: 'inbox', id: 1 },
  mark_read: { op: 'mark_read', conversation: 'room.lobby', upto: '019a20bb-7312-71f7-8000-000000000005' },
  publish: { op: 'publish', subject: 'topic.scores.goal', data: null },
  signal: { op: 'signal', user: 'bob', name: 'typing', data: {} },
  subscribe: { op: 'subscribe', id: 1, patterns: ['topic.scores.>'] },
  unsubscribe: { op: 'unsubscribe', patterns: ['topic.scores.>'] },
  ping: { op: 'ping' },
};

// @ts-expect-error: a field that the op does not have
export const misspelled: ClientFrame = { op: 'ping', idd: 1 };
// @ts-expect-error: a field that the op needs
export const incomplete: ClientFrame = { op: 'publish', subject: 'topic.a' };
// @ts-expect-error: no such op
export const unknown: ClientFrame = { op: 'login' };

function said(message: Message): string {
  return `${message.from ?? message.kind ?? ''} ${message.conversation} ${message.id} ${message.sent_at}`;
}

function listed(entry: InboxEntry): string {
  const name = entry.kind === 'dm' ? entry.peer : entry.title;
  return `${name ?? entry.conversation} ${entry.last ? said(entry.last) : ''} ${entry.read_upto ?? ''}`;
}

function advice(code: ErrorCode): boolean {
  return code === 'rate_limited' || code === 'outcome_unknown';
}

/** Reads every frame. A frame that is missing here does not compile. */
export function read(frame: ServerFrame): string {
  switch (frame.op) {
    case 'ready':
      return `${frame.user} ${frame.session} ${frame.limits.frame_bytes + frame.ping_ms} ${frame.refused.join()}`;
    case 'renewed':
      return `${frame.expires_at + 1} ${frame.refused.length}`;
    case 'cursor':
      return frame.cursor + (frame.gaps ?? []).map((gap) => gap.conversation + gap.after + (gap.before ?? '')).join();
    case 'ok':
      return String(frame.id);
    case 'pong':
      return String(frame.now + 1);
    case 'sent':
      return said(frame.message) + (frame.nonce ?? '');
    case 'history':
      return frame.messages.map(said).join() + (frame.next ?? '');
    case 'inbox':
      return frame.conversations.map(listed).join() + (frame.next ?? '');
    case 'error':
      return `${frame.for ?? ''} ${frame.detail} ${frame.retry} ${advice(frame.code)} ${(frame.retry_after_ms ?? 0) + 1}`;
    case 'message':
      return said(frame.message);
    case 'event':
      return `${frame.subject} ${JSON.stringify(frame.data)} ${frame.at + 1}`;
    case 'signal':
      return `${frame.conversation} ${frame.name} ${frame.from} ${JSON.stringify(frame.data)} ${frame.at + 1}`;
    case 'read':
      return `${frame.conversation} ${frame.upto} ${frame.user} ${frame.at + 1}`;
    case 'joined':
      return `${frame.user} ${frame.role} ${frame.by ?? ''} ${frame.entry ? listed(frame.entry) : ''} ${frame.at + 1}`;
    case 'member':
      return `${frame.user} ${frame.role} ${frame.by ?? ''} ${frame.at + 1}`;
    case 'left':
      return `${frame.user} ${frame.by ?? ''} ${frame.at + 1}`;
    case 'room_changed':
      return `${frame.conversation} ${frame.title ?? ''} ${JSON.stringify(frame.data)}`;
    case 'token_expiring':
      return String(frame.expires_at + 1);
    default:
      return impossible(frame);
  }
}

function impossible(frame: never): never {
  throw new Error(`an op that is not described: ${JSON.stringify(frame)}`);
}

// @ts-expect-error: without narrowing a frame has no fields but `op`
export const unnarrowed = (frame: ServerFrame): string => frame.detail;

/** The HTTP API by its paths, methods and schemas. */
type Sending = paths['/v1/messages']['post'];
export type Body = Sending['requestBody']['content']['application/json'];
export type Sent = Sending['responses'][201]['content']['application/json'];
export type Page = paths['/v1/users/{id}/inbox']['get']['responses'][200]['content']['application/json'];

/** A message is the same over both transports. */
export const same = (message: components['schemas']['Message']): Message => message;
