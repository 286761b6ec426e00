/** Keeps values of tasks that have ended, for as long as the browser's tab is open. */

const CACHE_KEY = "kore-erasures-ended-1";

export class EndedReports {
  #values = new Map();
  #isChanged = false;

  constructor() {
    try {
      this.#values = new Map(JSON.parse(sessionStorage.getItem(CACHE_KEY) ?? "[]"));
    } catch {
      // Storage is a help and no need.
    }
  }

  find(row) {
    const [timestamp, value] = this.#values.get(row.key) ?? [];
    return timestamp === row.timestamp ? value : undefined;
  }

  keep(row, value) {
    if (row.report?.stage !== "ended") return;
    this.#values.set(row.key, [row.timestamp, value]);
    this.#isChanged = true;
  }

  save() {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    try {
      sessionStorage.setItem(CACHE_KEY, JSON.stringify([...this.#values].slice(-5_000)));
    } catch {
      // It is full or forbidden; they are in memory all the same.
    }
  }
}
