// Light or dark as the reader's system is. The theme's own file expects style sheets of a highlighter that is not loaded here.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
dark.addEventListener("change", follow);
follow();
