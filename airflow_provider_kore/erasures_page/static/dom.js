/** Makes and finds elements, and follows what the viewer has chosen in Airflow. Text never becomes markup. */

export const byId = (id) => document.getElementById(id);

/** Whether Airflow shows the page in a frame of its own. */
export const isFramed = window.parent !== window;

export function element(name, fields = {}, ...children) {
  const made = document.createElement(name);
  for (const [field, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    if (field === "class") made.className = value;
    else made.setAttribute(field, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make an option of a select. */
export function option(value, text) {
  const made = element("option", {}, text);
  made.value = value;
  return made;
}

/** Read a setting that the viewer has made in Airflow. */
export function setting(name) {
  try {
    const value = localStorage.getItem(name);
    return value?.startsWith('"') ? JSON.parse(value) : value;
  } catch {
    return null;
  }
}

/** Take Airflow's theme, now and when it changes. */
function followTheme() {
  const theme = setting("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

followTheme();
addEventListener("storage", (event) => {
  if (event.key === "theme") followTheme();
});

/** Airflow's frame may not lead elsewhere by itself, so its own window follows the link. */
export function leaveFor(address, isNewTab = false) {
  let place = document;
  try {
    place = window.top.document;
  } catch {
    // The page around is not Airflow's; then the frame follows the link itself.
  }
  const link = place.createElement("a");
  link.href = address;
  link.rel = "noreferrer";
  if (isNewTab) link.target = "_blank";
  link.click();
}

/** Let links of the framed page leave through Airflow's window, but for those that stay within the page. */
export function followLinks() {
  if (!isFramed) return;
  const follow = (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || link.hasAttribute("data-here") || event.button > 1) return;
    event.preventDefault();
    const isOther = link.origin !== location.origin;
    leaveFor(link.href, isOther || event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey);
  };
  document.addEventListener("click", follow);
  document.addEventListener("auxclick", follow);
}
