// What a reader sees and does of the chat. What it says and makes is Python's (chat.py).

function render({ model, el }) {
  el.className = "nextgpt-chat";
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are not for what is typed here
  el.innerHTML = `
    <div class="log" role="log" tabindex="0" aria-label="Conversation">
      <div class="past"></div><div class="live"></div>
    </div>
    <p class="status" role="status"></p>
    <div class="examples"></div>
    <div class="files"></div>
    <textarea rows="2" aria-label="Message" placeholder="Say something, or ask for an image, audio, a video. \
Enter sends, Shift+Enter breaks the line."></textarea>
    <div class="bar">
      <button class="send">Send</button><button class="stop">Stop</button>
      <button class="retry" title="The last message again, with the next seed">Retry</button>
      <button class="clear">Clear</button>
      <label class="button">Attach<input class="attach" type="file" multiple aria-label="Attach"></label>
      <label>Seed <input class="seed" type="number" min="0"></label>
      <label><input class="auto" type="checkbox" checked> model chooses what to answer in</label>
      <span class="wanted"></span>
    </div>`;
  const at = (name) => el.querySelector("." + name);
  const text = el.querySelector("textarea");
  let files = [];
  let asked = false; // whether the reply that is made is to what is typed here

  const scroll = () => { at("log").scrollTop = at("log").scrollHeight; };
  at("log").addEventListener("load", scroll, true); // an image has its height only then
  const show = (name, key, set) => {
    const draw = () => { set(at(name), model.get(key)); };
    model.on("change:" + key, draw);
    draw();
  };
  show("past", "past", (node, value) => { node.innerHTML = value; scroll(); });
  show("live", "live", (node, value) => { node.innerHTML = value; scroll(); });
  show("status", "status", (node, value) => { node.textContent = value; });
  show("seed", "seed", (node, value) => { node.value = value; });
  show("bar", "busy", (_, busy) => {
    at("stop").disabled = !busy;
    for (const name of ["send", "retry", "clear"]) at(name).disabled = busy;
  });

  const previews = () => {
    at("files").replaceChildren(...files.map((file) => {
      const figure = document.createElement("figure");
      const kind = { image: "img", audio: "audio", video: "video" }[file.type.split("/")[0]];
      if (kind) {
        const shown = document.createElement(kind);
        shown.src = URL.createObjectURL(file);
        shown.controls = true;
        figure.append(shown);
      }
      const remove = document.createElement("button");
      remove.textContent = "×";
      remove.ariaLabel = "Remove " + file.name;
      remove.onclick = () => { files = files.filter((each) => each !== file); previews(); };
      const name = document.createElement("figcaption");
      name.append(file.name, remove);
      figure.append(name);
      return figure;
    }));
  };
  const attach = (list) => { files.push(...list); previews(); };
  at("attach").accept = model.get("accept");
  at("attach").onchange = (event) => { attach(event.target.files); event.target.value = ""; };
  text.onpaste = (event) => attach(event.clipboardData.files);
  el.ondragover = (event) => event.preventDefault();
  el.ondrop = (event) => { event.preventDefault(); attach(event.dataTransfer.files); };

  const options = () => ({
    seed: Number(at("seed").value),
    wanted: at("auto").checked
      ? null
      : [...el.querySelectorAll(".wanted input:checked")].map((box) => box.value),
  });
  const send = async () => {
    if (model.get("busy")) return;
    asked = true;
    const contents = await Promise.all(files.map((file) => file.arrayBuffer()));
    const names = files.map((file) => file.name);
    model.send({ kind: "send", text: text.value, names, ...options() }, undefined, contents);
  };
  at("send").onclick = send;
  at("stop").onclick = () => model.send({ kind: "stop" });
  at("retry").onclick = () => { asked = false; model.send({ kind: "retry", ...options() }); };
  at("clear").onclick = () => model.send({ kind: "clear" });
  text.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  model.on("msg:custom", (said) => { // the message was answered
    if (said.kind !== "taken" || !asked) return;
    asked = false;
    text.value = "";
    files = [];
    previews();
  });

  at("wanted").append(...model.get("modalities").map((name) => {
    const label = document.createElement("label");
    label.innerHTML = `<input type="checkbox" value="${name}" disabled> ${name}`;
    return label;
  }));
  at("auto").onchange = (event) => {
    for (const box of el.querySelectorAll(".wanted input")) box.disabled = event.target.checked;
  };
  at("examples").append(...model.get("examples").map((words) => {
    const button = document.createElement("button");
    button.textContent = words;
    button.onclick = () => { text.value = words; text.focus(); };
    return button;
  }));
}

export default { render };
