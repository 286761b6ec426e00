/** Draws how many users were erased on each of the last days. */

import { byId } from "./dom.js";
import { erasedByDay } from "./erasure.js";
import { count, dateOfDay, dayOfMoment, today, usersText } from "./words.js";

const DAYS = 30;
const [WIDTH, HEIGHT, STEP] = [300, 56, 10];

function shape(name, fields, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [field, value] of Object.entries(fields)) made.setAttribute(field, value);
  made.append(...children);
  return made;
}

let shown;

/** Draw the chart, if it is another one than is shown. */
export function renderChart(rows) {
  const numbers = erasedByDay(rows, today(), DAYS, dayOfMoment);
  const state = JSON.stringify([today(), numbers]);
  if (state === shown) return;
  shown = state;
  const total = numbers.reduce((sum, number) => sum + number, 0);
  const most = Math.max(...numbers, 1);
  const summary = `${usersText(total)} in ${DAYS} days`;
  const bars = numbers.map((number, index) => {
    const height = number === 0 ? 1 : Math.max(3, (number / most) * HEIGHT);
    const size = { x: index * STEP + 1, y: HEIGHT - height, width: STEP - 2, height, rx: 1, class: number ? "" : "none" };
    return shape("rect", size, shape("title", {}, `${dateOfDay(today() - DAYS + 1 + index)}: ${usersText(number)}`));
  });
  const label = total ? `${summary}, at most ${count(most)} on one day` : summary;
  const chart = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label };
  byId("chart-bars").replaceChildren(shape("svg", chart, ...bars));
  byId("chart-total").textContent = summary;
}
