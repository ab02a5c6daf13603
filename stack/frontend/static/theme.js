// Light or dark: as the system has it, until the button says otherwise.

const root = document.documentElement;
const button = document.querySelector("#theme");
const system = matchMedia("(prefers-color-scheme: dark)");

const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

function label() {
  button.textContent = dark() ? "Light theme" : "Dark theme";
}

export function start() {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  label();
  system.addEventListener("change", label);
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    label();
  });
}
