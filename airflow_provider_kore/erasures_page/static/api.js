/**
 * Asks Airflow's public API, with the session of the viewer.
 *
 * By GET, which changes nothing and leaves nothing in Airflow's audit log. Only two calls change something: a POST that
 * starts a run, and a PATCH that sets the note of a task instance. No other file of this page can send a request.
 */

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

/** Read something. */
export async function get(path, parameters = []) {
  const query = new URLSearchParams(parameters).toString();
  return read(await ask(`${API}${path}${query && `?${query}`}`, {}));
}

/**
 * Whether the viewer may start a run of a DAG ("run"), or set notes of its task instances ("note").
 *
 * The plugin that serves this page answers by its status: what Airflow answers to a POST or a PATCH is in its audit log.
 */
export async function may(what, dagId) {
  const { ok, status } = await ask(`may/${what}/${segment(dagId)}`, {});
  if (!ok && status !== 403) throw new ApiError(status);
  return ok;
}

async function send(method, path, value) {
  const headers = { "Content-Type": "application/json" };
  return read(await ask(`${API}${path}`, { method, body: JSON.stringify(value), headers }));
}

/** Start a run of a DAG: the one POST. */
export const postRun = (dagId, value) => send("POST", `${dagPath(dagId)}/dagRuns`, value);

/** Set the note of a task instance, and of no other instance of a mapped task: the one PATCH. */
export const patchNote = (row, note) => send("PATCH", instancePath(row), { note });

/** Read a list from an answer; one without is none of Airflow's. */
export function listIn(answer, name) {
  if (!Array.isArray(answer?.[name]) || !Number.isSafeInteger(answer.total_entries)) throw new ApiError(0);
  return answer[name];
}

export const segment = (text) => encodeURIComponent(text);
export const dagPath = (dagId) => `dags/${segment(dagId)}`;
export const runPath = (dagId, runId) => `${dagPath(dagId)}/dagRuns/${segment(runId)}`;
export const taskPath = ({ dagId, runId, taskId }) => `${runPath(dagId, runId)}/taskInstances/${segment(taskId)}`;
/** Without the index of what is not mapped, which is -1, a PATCH would change all instances of a mapped task. */
export const instancePath = (row) => `${taskPath(row)}/${row.mapIndex}`;

/** Run jobs, a few at once, until there are no more. */
export async function inParallel(workers, nextJob) {
  const work = async () => {
    for (let job = nextJob(); job; job = nextJob()) await job();
  };
  await Promise.all(Array.from({ length: workers }, work));
}
