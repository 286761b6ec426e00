/** Asks Airflow's public API, with the session of the viewer. */

const API = "../api/v2/";
const ANSWER_WITHIN = 60_000; // milliseconds; what hangs must not seem fresh

/** An answer that is none: status 0 if there was no answer at all, or none of Airflow's. */
export class ApiError extends Error {
  constructor(status) {
    super(`Airflow answered with status ${status}`);
    this.status = status;
  }
}

async function ask(address, options) {
  try {
    return await fetch(address, {
      credentials: "same-origin",
      redirect: "error",
      signal: AbortSignal.timeout(ANSWER_WITHIN),
      ...options,
      headers: { Accept: "application/json", ...options.headers },
    });
  } catch {
    throw new ApiError(0);
  }
}

async function read(answer) {
  if (!answer.ok) throw new ApiError(answer.status);
  try {
    return await answer.json();
  } catch {
    throw new ApiError(0);
  }
}

/** Read something, which changes nothing and leaves nothing in Airflow's audit log. */
export async function get(path, parameters = []) {
  const query = new URLSearchParams(parameters).toString();
  return read(await ask(`${API}${path}${query && `?${query}`}`, {}));
}

/** Ask the plugin that serves this page, which answers by its status alone. */
export async function getOwn(path) {
  const answer = await ask(path, {});
  if (!answer.ok) throw new ApiError(answer.status);
}

/** Send a value as JSON. */
export async function post(path, value) {
  const headers = { "Content-Type": "application/json" };
  return read(await ask(`${API}${path}`, { method: "POST", body: JSON.stringify(value), headers }));
}

/** Read a list from an answer; one without is none of Airflow's. */
export function listIn(answer, name) {
  if (!Array.isArray(answer?.[name]) || !Number.isSafeInteger(answer.total_entries)) throw new ApiError(0);
  return answer[name];
}

export const segment = (text) => encodeURIComponent(text);

/** Run jobs, a few at once, until there are no more. */
export async function inParallel(workers, nextJob) {
  const work = async () => {
    for (let job = nextJob(); job; job = nextJob()) await job();
  };
  await Promise.all(Array.from({ length: workers }, work));
}
