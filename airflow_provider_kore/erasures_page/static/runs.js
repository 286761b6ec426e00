/** Finds the DAGs that take sealed user ids, starts their runs, and reads what a preview returns. */

import { dagPath, get, inParallel, listIn, may, postRun, runPath, segment } from "./api.js";

const SEAL = "x-kore-seal";
/** Names of the Params that the form fills; a DAG must have all of them. */
const PARAMS = ["bot_ids", "received_at", "regime", "approved_plan"];
const PAGE_SIZE = 100;
const MOST_DAGS = 2_000;
const ASKED_AT_ONCE = 4;
const POLL_INTERVAL = 1_500; // milliseconds
const MOST_SILENCES = 40;
const ENDED = new Set(["success", "failed"]);

async function listDags() {
  const dags = [];
  for (;;) {
    const page = await get("dags", { limit: PAGE_SIZE, offset: dags.length, exclude_stale: true });
    const found = listIn(page, "dags");
    dags.push(...found);
    if (found.length === 0 || dags.length >= Math.min(page.total_entries, MOST_DAGS)) break;
  }
  const hasTag = (dag) => Number((dag.tags ?? []).some((tag) => tag.name === "kore"));
  return dags.sort((one, other) => hasTag(one) - hasTag(other)); // the last is asked first
}

/** The Param that takes sealed ids; undefined if the DAG is none that the form can start. */
function findSealedParam(params) {
  const names = Object.keys(params ?? {}).filter((name) => params[name]?.schema?.[SEAL] !== undefined);
  return names.length === 1 && PARAMS.every((name) => name in params) ? names[0] : undefined;
}

/**
 * Find the DAGs that take sealed user ids and that the viewer may run.
 *
 * @param onFound is called with each as it is found.
 */
export async function findDags(onFound) {
  const dags = await listDags();
  await inParallel(ASKED_AT_ONCE, () => {
    const dag = dags.pop();
    return dag && (async () => {
      const found = await readDag(dag);
      if (found !== undefined) await onFound(found);
    });
  });
}

/** Read how a DAG takes sealed user ids; undefined if it does not, or the viewer may not run it. */
async function readDag({ dag_id: id, dag_display_name: name }) {
  let details;
  try {
    details = await get(`${dagPath(id)}/details`);
  } catch (error) {
    if (error.status === 403 || error.status === 404) return undefined;
    throw error;
  }
  const { params, is_paused: isPaused } = details;
  const sealedParam = findSealedParam(params);
  if (sealedParam === undefined || !(await may("run", id))) return undefined;
  return { id, name: name ?? id, isPaused: Boolean(isPaused), params, sealedParam, jwk: params[sealedParam].schema[SEAL] };
}

/**
 * Start a run. Sent again with the same id, it starts no other.
 *
 * @param conf the values of the Params.
 */
export async function startRun(dagId, runId, conf) {
  try {
    await postRun(dagId, { dag_run_id: runId, logical_date: null, conf });
  } catch (error) {
    if (error.status !== 409) throw error; // it has been started by the call whose answer was lost
  }
}

/**
 * Wait until the run has a preview, and return what the dry run returned; undefined if the run ended without one.
 *
 * The preview continues if Airflow does not answer for a while, and so does this.
 *
 * @param signal stops the waiting, and then the promise is rejected.
 */
export async function waitForPreview(dagId, runId, signal) {
  const run = runPath(dagId, runId);
  for (let silent = 0; ; await pause(signal)) {
    try {
      const { state } = await get(run);
      const result = await findPreview(run);
      signal.throwIfAborted();
      if (result !== undefined || ENDED.has(state)) return result;
      silent = 0;
    } catch (error) {
      silent += 1;
      if (!(error.status === 0 || error.status >= 500) || silent === MOST_SILENCES) throw error;
    }
  }
}

async function findPreview(run) {
  const query = { xcom_key: "return_value", limit: PAGE_SIZE };
  const page = await get(`${run}/taskInstances/~/xcomEntries`, query);
  for (const { task_id: taskId, map_index: mapIndex } of listIn(page, "xcom_entries")) {
    const path = `${run}/taskInstances/${segment(taskId)}/xcomEntries/return_value`;
    const result = parse((await get(path, { map_index: mapIndex })).value);
    if (result?.dry_run === true && typeof result.plan_fingerprint === "string") return result;
  }
  return undefined;
}

/** Find why a run has failed, as this provider's errors say it, which name no user; undefined if nothing says it. */
export async function findReason(dagId, runId) {
  const run = runPath(dagId, runId);
  try {
    const failed = listIn(await get(`${run}/taskInstances`, { state: "failed" }), "task_instances");
    for (const { task_id: taskId, try_number: number, map_index: mapIndex } of failed) {
      const log = await get(`${run}/taskInstances/${segment(taskId)}/logs/${number}`, { map_index: mapIndex, full_content: true });
      const errors = log.content.flatMap((entry) => entry.error_detail ?? []);
      const reason = errors.find((error) => /^Kore\w*Error$/.test(error.exc_type))?.exc_value;
      if (typeof reason === "string") return reason;
    }
  } catch {
    // The run says it to those who may see its log.
  }
  return undefined;
}

const pause = (signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, POLL_INTERVAL);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
    signal.throwIfAborted();
  });

/** Values of XComs come as they are, or as JSON. */
function parse(value) {
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return undefined;
  }
}
