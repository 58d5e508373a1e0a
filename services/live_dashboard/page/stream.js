// The stream of frames: opens it, closes it while nobody looks, opens it again after a loss.

const SILENT_MS = 25_000;
const RETRY_MS = 2_000;

// Parameters: store; onState(state) with "live", "lost" or "paused".
export function follow(store, onState) {
  let stream = null, heard = 0, retry = 0;

  function open() {
    clearTimeout(retry);
    stream?.close();
    heard = Date.now();
    stream = new EventSource("api/stream");
    stream.addEventListener("snapshot", (event) => {
      heard = Date.now();
      onState("live");
      store.reset(JSON.parse(event.data));
    });
    stream.onmessage = (event) => {
      heard = Date.now();
      store.apply(JSON.parse(event.data));
    };
    stream.onerror = () => {
      onState("lost");
      if (stream.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    };
  }

  setInterval(() => {
    if (!document.hidden && Date.now() - heard > SILENT_MS) {
      onState("lost");
      open();
    }
  }, 5_000);

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(retry);
      stream?.close();
      onState("paused");
    } else open();
  });
  addEventListener("pagehide", () => stream?.close());
  if (!document.hidden) open();
}
