// Light or dark: as the system has it, or as chosen here.

const root = document.documentElement;
const choice = document.querySelector("#theme");

function apply(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
}

export function start() {
  const chosen = localStorage.getItem("theme");
  choice.value = chosen === "light" || chosen === "dark" ? chosen : "auto";
  apply(choice.value);
  choice.addEventListener("change", () => {
    localStorage.setItem("theme", choice.value);
    apply(choice.value);
  });
}
