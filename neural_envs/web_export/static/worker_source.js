// The dream of a worker of this page: the same messages as those of a server, see ../static/socket.js of `serve`.
export function workerSource({ message, frame, closed }) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const send = (type, values) => worker.postMessage({ type, ...values });
  let watched = () => {};
  worker.onmessage = ({ data }) => {
    if (data.type === "frame") frame(data.header, data.pixels, 0);
    else if (data.type === "file") download(data);
    else if (data.type === "watched") watched(data.wrong);
    else message(data);
    if (data.type === "closing") worker.terminate();
  };
  worker.onerror = ({ message: text }) => closed("The dream broke off", text || "A file of this site is missing, or this browser is too old");
  return {
    send,
    save: () => send("save"),
    async watch(file) {
      const bytes = new Uint8Array(await file.arrayBuffer());
      return new Promise((done) => { watched = done; send("watch", { bytes }); });
    },
  };
}

function download({ name, bytes }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
