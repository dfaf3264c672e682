/** What k6 throws through a script that aborts the test. */
export class Interrupt extends Error {}
