/** Writes numbers, moments and spans of time, in the time zone that the viewer has chosen in Airflow. */

import { setting } from "./dom.js";
import { DAY } from "./erasure.js";

/** Formats moments in a form that sorts. */
function makeClock() {
  const form = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  try {
    return new Intl.DateTimeFormat("sv-SE", { ...form, timeZone: setting("timezone") ?? undefined });
  } catch {
    return new Intl.DateTimeFormat("sv-SE", form);
  }
}

let clock = makeClock();
addEventListener("storage", (event) => {
  if (event.key === "timezone") clock = makeClock();
});

const numbers = new Intl.NumberFormat("en");

export const count = (number) => numbers.format(number);
export const usersText = (number) => `${count(number)} ${number === 1 ? "user" : "users"}`;
export const dateAndTime = (moment) => clock.format(moment);
export const timeOf = (moment) => clock.format(moment).slice(11);
export const dayOfMoment = (moment) => Date.parse(`${clock.format(moment).slice(0, 10)}T00:00:00Z`) / DAY;
export const today = () => dayOfMoment(Date.now());
export const dateOfDay = (day) => new Date(day * DAY).toISOString().slice(0, 10);

/** Write a moment as its time alone if it is of today. */
export const momentText = (moment) => (dayOfMoment(moment) === today() ? timeOf(moment) : dateAndTime(moment));

export function duration(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 60 / 24)} days`;
}

export function daysText(left) {
  if (left === 0) return "due today";
  const days = `${Math.abs(left)} ${Math.abs(left) === 1 ? "day" : "days"}`;
  return left > 0 ? `${days} left` : `${days} over`;
}
