// The dream of a server: messages over a WebSocket, files by requests.
export function socketSource({ message, frame, closed }) {
  let token, received = 0;
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`);
  const send = (type, values) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, ...values }));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      const text = JSON.parse(data);
      if (text.type === "hello") ({ token } = text);
      return message(text);
    }
    send("acknowledge", { number: ++received });
    const length = new DataView(data).getUint32(0, true);
    frame(JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))), data, 4 + length);
  };
  socket.onclose = () => closed("Connection lost", "The server or the network has gone. Your dream was stopped.");
  return {
    send,
    save: () => { if (token) location.assign(`/dreams/${token}`); },
    async watch(file) {
      const answer = await fetch(`/dreams/${token}`, { method: "POST", body: file }).catch(() => null);
      const result = answer && (await answer.json().catch(() => ({})));
      return answer?.ok ? "" : result?.error ?? "The file could not be sent.";
    },
  };
}
