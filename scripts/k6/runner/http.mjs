// `asyncRequest` of `k6/http`, on the `fetch` of Node.

/** How long a request may take, in milliseconds: k6's own default. */
const REQUEST_PATIENCE = 60_000;

/** The spelling of k6: `Retry-After`. */
function canonical(name) {
  return name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** A request of a virtual user, whose iteration waits for the answer. As in k6, a failure is an answer of status 0. */
export async function asyncRequest(user, method, url, body, params) {
  const cancel = new AbortController();
  const held = { stop: () => cancel.abort() };
  user.hold(held);
  const late = setTimeout(() => cancel.abort(), REQUEST_PATIENCE);
  try {
    const { headers } = params ?? {};
    const answer = await fetch(url, { method, body: body ?? undefined, headers, signal: cancel.signal });
    const text = await answer.text();
    const named = Object.fromEntries([...answer.headers].map(([name, value]) => [canonical(name), value]));
    return { status: answer.status, body: text, headers: named, error: '' };
  } catch (error) {
    return { status: 0, body: null, headers: {}, error: String(error.cause?.code ?? error.message) };
  } finally {
    clearTimeout(late);
    // Behind the script's own continuation, which may start the next thing to wait for.
    setImmediate(() => user.release(held));
  }
}
