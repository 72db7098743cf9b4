// Draws what the kernel made, and tells it whether anybody sees it.
const ALIVE = 5000; // milliseconds

function render({ model, el }) {
  const view = `${Date.now()}-${Math.random()}`;
  const body = document.createElement("div");
  body.className = "cachetop-live";
  el.appendChild(body);
  let onScreen = false;
  let told = null;

  const draw = () => {
    body.innerHTML = model.get("html");
    if (model.get("stopped")) {
      body.appendChild(document.createElement("div")).textContent = "stopped";
    }
  };
  const tell = (again) => {
    const seen = onScreen && !document.hidden && !model.get("stopped");
    if (seen !== told || (again && seen)) {
      told = seen;
      model.send({ view, seen });
    }
  };
  const change = () => tell(false);
  const watcher = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    tell(false);
  });
  const alive = setInterval(() => tell(true), ALIVE);
  model.on("change:html", draw);
  model.on("change:stopped", draw);
  model.on("change:stopped", change);
  document.addEventListener("visibilitychange", change);
  watcher.observe(el);
  draw();

  return () => {
    clearInterval(alive);
    watcher.disconnect();
    document.removeEventListener("visibilitychange", change);
    model.off("change:html", draw);
    model.off("change:stopped", draw);
    model.off("change:stopped", change);
    model.send({ view, seen: false });
  };
}

export default { render };
