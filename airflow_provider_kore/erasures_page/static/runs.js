/** Finds the DAGs that take sealed user ids, starts their runs, and reads what a preview returns. */

import { ApiError, get, inParallel, listIn, post, segment } from "./api.js";

export const SEAL = "x-kore-seal";
/** Names of the Params that the form fills; a DAG must have all of them. */
const PARAMS = ["bot_ids", "received_at", "regime", "approved_plan"];
const PAGE_SIZE = 100;
const MOST_DAGS = 2_000;
const ASKED_AT_ONCE = 4;
const LOOK_EVERY = 1_500; // milliseconds
const ENDED = new Set(["success", "failed"]);

const dagPath = (dagId) => `dags/${segment(dagId)}`;

async function listDags() {
  const dags = [];
  for (;;) {
    const page = await get("dags", { limit: PAGE_SIZE, offset: dags.length, exclude_stale: true });
    const found = listIn(page, "dags");
    dags.push(...found.filter((dag) => !dag.is_stale));
    if (found.length === 0 || dags.length >= Math.min(page.total_entries, MOST_DAGS)) break;
  }
  const hasTag = (dag) => Number((dag.tags ?? []).some((tag) => tag.name === "kore"));
  return dags.sort((one, other) => hasTag(one) - hasTag(other)); // the last is asked first
}

/** The Param that takes sealed ids; undefined if the DAG is none that the form can start. */
function sealParam(params) {
  const names = Object.keys(params ?? {}).filter((name) => params[name]?.schema?.[SEAL] !== undefined);
  return names.length === 1 && PARAMS.every((name) => name in params) ? names[0] : undefined;
}

/**
 * Whether the viewer may start a run: Airflow checks the right before it reads what is sent, and a list is nothing that
 * it could start.
 */
async function mayRun(dagId) {
  try {
    await post(`${dagPath(dagId)}/dagRuns`, "[]");
  } catch (error) {
    if (error.status === 422) return true;
    if (error.status === 403) return false;
    throw error;
  }
  throw new ApiError(0);
}

/**
 * Find the DAGs that take sealed user ids and that the viewer may run.
 *
 * @param onFound is called with each as it is found: its id, name, Params, the name of the sealed one, and its key.
 */
export async function findDags(onFound) {
  const dags = await listDags();
  await inParallel(ASKED_AT_ONCE, () => {
    const dag = dags.pop();
    return dag && (async () => {
      let details;
      try {
        details = await get(`${dagPath(dag.dag_id)}/details`);
      } catch (error) {
        if (error.status === 403 || error.status === 404) return;
        throw error;
      }
      const name = sealParam(details.params);
      if (name === undefined || !(await mayRun(dag.dag_id))) return;
      onFound({
        id: dag.dag_id,
        name: dag.dag_display_name ?? dag.dag_id,
        isPaused: Boolean(details.is_paused),
        params: details.params,
        sealedParam: name,
        key: details.params[name].schema[SEAL],
      });
    });
  });
}

/**
 * Start a run. Sent again with the same id, it starts no other.
 *
 * @param conf the values of the Params.
 */
export async function startRun(dagId, runId, conf) {
  try {
    await post(`${dagPath(dagId)}/dagRuns`, JSON.stringify({ dag_run_id: runId, logical_date: null, conf }));
  } catch (error) {
    if (error.status !== 409) throw error; // it has been started by the call whose answer was lost
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Wait until the run has a preview: what a dry run returns, or how the run ended without one. */
export async function waitForPreview(dagId, runId, isWanted) {
  const run = `${dagPath(dagId)}/dagRuns/${segment(runId)}`;
  while (isWanted()) {
    const { state } = await get(run);
    const entries = listIn(await get(`${run}/taskInstances/~/xcomEntries`, { xcom_key: "return_value", limit: PAGE_SIZE }), "xcom_entries");
    for (const { task_id: taskId, map_index: mapIndex } of entries) {
      const path = `${run}/taskInstances/${segment(taskId)}/xcomEntries/return_value`;
      const { value } = await get(path, { map_index: mapIndex });
      const result = typeof value === "string" ? parse(value) : value;
      if (result?.dry_run === true && typeof result.plan_fingerprint === "string") return { result };
    }
    if (ENDED.has(state)) return { state };
    await pause(LOOK_EVERY);
  }
  return { state: "left" };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
