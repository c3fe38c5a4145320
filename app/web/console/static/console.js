// Puts the server's HTML where it belongs, asks before it acts, and says when the line is silent.
// It draws no number of its own but clocks that run on from the server's time; the chart is uPlot's,
// of points that the server has sent.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private */ } };
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };

  // --- light and dark ------------------------------------------------------------------
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const turn = () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep("theme", root.dataset.theme);
    redraw();
  };

  // --- what the server says --------------------------------------------------------------
  // Two trees that are alike keep their nodes, so focus and selection stay where they are.
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    children(old, fresh);
  };
  const children = (old, fresh) => {
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((node, i) => (i < before.length ? morph(before[i], node) : old.append(node)));
    before.slice(after.length).forEach((node) => node.remove());
  };
  const parser = new DOMParser();
  const show = (panels) => {
    for (const [name, html] of Object.entries(panels)) {
      const place = document.querySelector(`[data-panel="${CSS.escape(name)}"]`);
      if (!place) continue;
      children(place, parser.parseFromString(`<body>${html}`, "text/html").body);
    }
    choose(chosen);
    zoned();
    // What needs somebody is read out at once, the rest when there is a pause.
    $("verdict").setAttribute("aria-live", $("verdict").querySelector(".critical") ? "assertive" : "polite");
  };

  // --- clocks --------------------------------------------------------------------------
  let offset = 0; // the server's clock less ours
  let heard = 0; // when it last spoke, by a clock that nobody sets
  let seenFor = 0; // how old its word was then
  let frozen = false;
  const serverNow = () => Date.now() + offset;
  const pad = (n) => String(n).padStart(2, "0");
  const span = (ms) => {
    const s = Math.max(0, Math.ceil(ms / 1000));
    const days = Math.floor(s / 86400);
    return (days ? `${days} d ` : "")
      + [Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60].map(pad).join(":");
  };
  const formats = new Map();
  const SECOND = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const DAY = { weekday: "short", hour: "2-digit", minute: "2-digit" };
  const DATE = { day: "2-digit", month: "short", ...SECOND };
  const timeIn = (zone, at, parts = SECOND) => {
    const key = zone + Object.keys(parts).length + (parts.weekday || "");
    if (!formats.has(key)) {
      formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...parts }));
    }
    return formats.get(key).format(at).replace(",", "");
  };
  const zones = () => [...document.querySelectorAll("[data-clock]")].map((c) => c.dataset);
  let zone = 0;
  const zoned = () => {
    const all = zones();
    if (!all.length || (zone === 0 && !turned)) return;
    for (const time of document.querySelectorAll("time[datetime]")) {
      const { dataset } = time;
      const parts = "date" in dataset ? DATE : "day" in dataset ? DAY : SECOND;
      const words = timeIn(all[zone].clock, Date.parse(time.dateTime), parts);
      if (time.textContent !== words) time.textContent = words;
    }
  };
  let turned = false; // the server writes Seoul's time, so nothing is to do before that
  const remembered = () => {
    const found = zones().findIndex((one) => one.label === kept("zone"));
    if (found < 1) return;
    zone = found;
    turned = true;
    zoned();
  };
  const live = (role, shape, word) => {
    $("live").className = `mark ${role}`;
    $("live").textContent = `${shape} ${word}`;
  };
  const beat = () => {
    if (!$("live")) return;
    const age = (performance.now() - heard + seenFor) / 1000;
    const stale = !heard || age > 10;
    document.body.classList.toggle("stale", stale && !frozen);
    document.body.classList.toggle("frozen", frozen);
    if (frozen) live("warning", "❚❚", "FROZEN by you");
    else if (!heard) live("warning", "▲", "CONNECTING");
    else if (stale) live("critical", "■", `STALE ${Math.floor(age)} s: numbers frozen`);
    else if (age > 3) live("warning", "▲", `STALE ${age.toFixed(0)} s`);
    else live("ok", "●", `LIVE ${age.toFixed(0)} s`);
    if (age > 3 || !heard || frozen) return; // clocks that run on would say that all is live
    const now = serverNow();
    for (const clock of document.querySelectorAll("[data-clock]")) {
      clock.textContent = timeIn(clock.dataset.clock, now);
    }
    for (const bell of document.querySelectorAll("[data-until]")) {
      bell.textContent = span(Number(bell.dataset.until) - now);
    }
  };

  // --- the one stream ------------------------------------------------------------------
  let source = null;
  const listen = () => {
    source = new EventSource("/console/stream");
    source.addEventListener("screen", (event) => {
      const told = JSON.parse(event.data);
      heard = performance.now();
      offset = told.now - Date.now();
      seenFor = told.now - told.at;
      if (frozen) return;
      show(told.panels);
      if (told.chart) plot(told.chart);
    });
    source.addEventListener("gone", () => { source.close(); location.assign("/console/login"); });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      source.close(); // refused: the session may be over, or the house is full
      setTimeout(listen, 2000 + Math.random() * 3000);
    });
  };
  const freeze = () => {
    if (!source) { toast("This page does not move."); return; }
    frozen = !frozen;
    if (!frozen) { source.close(); listen(); } // a new stream begins with every panel
  };

  // --- the chart -------------------------------------------------------------------------
  // One line of what left, a dashed one of what might have, and a mark with a word for each turn.
  const MINUTES = 15 * 60;
  let chart = null;
  let points = [[], [], []]; // seconds, sent, limit
  let marks = [];
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const many = (n) => (n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en"));
  const zoneNow = () => { const all = zones(); return all.length ? all[zone].clock : "UTC"; };
  const HOUR = { hour: "2-digit", minute: "2-digit" };
  const marked = (u) => {
    const { left, top, height, width } = u.bbox;
    const dot = devicePixelRatio;
    u.ctx.save();
    u.ctx.font = `${11 * dot}px system-ui, sans-serif`;
    u.ctx.textAlign = "left";
    u.ctx.textBaseline = "alphabetic";
    u.ctx.setLineDash([]);
    u.ctx.lineWidth = dot;
    // The gravest has its words first; whatever would lie over them is a line and its shape alone.
    const taken = [];
    const free = (begin, end) => taken.every(([b, e]) => end < b || begin > e);
    const grave = (mark) => "●▲■".indexOf(mark[1]);
    for (const [at, shape, says] of [...marks].sort((a, b) => grave(b) - grave(a))) {
      const x = u.valToPos(at / 1000, "x", true);
      if (x < left || x > left + width) continue;
      u.ctx.strokeStyle = u.ctx.fillStyle = colour({ "■": "critical", "▲": "warning" }[shape] || "quiet");
      u.ctx.beginPath();
      u.ctx.moveTo(x, top);
      u.ctx.lineTo(x, top + height);
      u.ctx.stroke();
      for (const words of [`${shape} ${says}`, shape]) {
        const wide = u.ctx.measureText(words).width;
        const begin = Math.max(left, Math.min(x - 4 * dot, left + width - wide));
        if (!free(begin, begin + wide)) continue;
        u.ctx.fillText(words, begin, top - 5 * dot);
        taken.push([begin - 6 * dot, begin + wide + 6 * dot]);
        break;
      }
    }
    u.ctx.restore();
  };
  const pointed = (u) => {
    const i = u.cursor.idx;
    const last = points[0].length - 1;
    const at = i === null || i === undefined ? last : i;
    if (at < 0) return;
    const when = timeIn(zoneNow(), points[0][at] * 1000);
    $("chart-says").textContent = `${when}: ${many(points[1][at])} of ${many(points[2][at])}`;
  };
  const drawn = () => {
    const place = $("chart");
    const grid = { stroke: () => colour("line"), width: 1 };
    const axis = { stroke: () => colour("quiet"), grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return new uPlot({
      width: place.clientWidth,
      height: place.clientHeight,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      padding: [18, 22, 0, 0],
      scales: {
        x: { time: true, range: (u, low, high) => [Math.max(low, high - MINUTES), Math.max(high, low + 60)] },
        y: { range: (u, low, high) => [0, Math.max(high, 1) * 1.08] },
      },
      axes: [
        { ...axis, size: 26, space: 76, values: (u, ticks) => ticks.map((t) => timeIn(zoneNow(), t * 1000, ticks.some((one) => one % 60) ? SECOND : HOUR)) },
        { ...axis, size: 52, values: (u, ticks) => ticks.map(many) },
      ],
      series: [
        {},
        { stroke: () => colour("accent"), fill: () => colour("ok-soft"), width: 1.75, points: { show: false } },
        { stroke: () => colour("ink"), width: 1, dash: [6, 4], points: { show: false } },
      ],
      hooks: { draw: [marked], setCursor: [pointed] },
    }, points, place);
  };
  const redraw = () => { if (chart) chart.redraw(false, true); };
  const plot = (told) => {
    if (told.whole) points = [[], [], []];
    if (told.marks) marks = told.marks;
    told.at.forEach((at, i) => {
      points[0].push(told.begin / 1000 + at);
      points[1].push(told.sent[i]);
      points[2].push(told.limit[i]);
    });
    const spare = points[0].length - MINUTES;
    if (spare > 0) points.forEach((line) => line.splice(0, spare));
    if (!chart && window.uPlot && $("chart") && points[0].length) {
      chart = drawn();
      new ResizeObserver(() => chart.setSize({
        width: $("chart").clientWidth, height: $("chart").clientHeight,
      })).observe($("chart"));
    } else if (chart) chart.setData(points);
    if (chart) pointed(chart);
  };

  // --- the story -------------------------------------------------------------------------
  const storyText = () => [...document.querySelectorAll(".story li")]
    .filter((line) => line.offsetParent)
    .map((line) => `• ${line.textContent.replace(/\s+/g, " ").trim()}`)
    .join("\n");
  const copied = async () => {
    const title = `*openbell* ${$("verdict").textContent.trim()}`;
    try {
      await navigator.clipboard.writeText(`${title}\n${storyText()}`);
      toast("Copied: paste it into the chat.");
    } catch { toast("This browser does not let a page copy here."); }
  };

  // --- saying what was done ------------------------------------------------------------
  let undo = null;
  const toast = (words, back) => {
    const line = document.createElement("p");
    line.append(words);
    if (back) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Undo (u)";
      button.addEventListener("click", () => takeBack());
      line.append(button);
      undo = back;
    }
    $("toast").replaceChildren(line);
    setTimeout(() => { line.remove(); if (undo === back) undo = null; }, 10000);
  };
  const takeBack = async () => {
    if (!undo) { toast("Nothing to undo."); return; }
    const { url, title, seen } = undo;
    undo = null;
    const reply = await call("POST", url, { reason: `undo: ${title}`.slice(0, 500) },
      seen ? { "If-Match": seen } : {});
    if (reply.status === 428) { // the way back is a large step as well
      const { detail, context } = await told(reply);
      begin({
        title: `Undo: ${title}`, says: `The way back is a large step: ${detail.split(":")[0]}.`,
        method: "POST", path: url, grade: "name", typed: context.confirm,
        version: seen ? Number(/\d+/.exec(seen)[0]) : null, fixed: {}, fields: [],
      }, "Undo");
      return;
    }
    toast(reply.ok ? `Undone: ${title}` : `Not undone: ${await words(reply)}`);
  };

  // --- acting --------------------------------------------------------------------------
  const call = (method, path, body, headers = {}) => fetch(path, {
    method,
    credentials: "same-origin",
    redirect: "error",
    headers: {
      "content-type": "application/json",
      "x-openbell-console": "1",
      "x-request-id": `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`,
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const told = async (reply) => { try { return await reply.json(); } catch { return {}; } };
  const words = async (reply) => {
    const problem = await told(reply);
    if (reply.status === 401) return "Your session is over: sign in again.";
    return problem.detail || problem.title || `HTTP ${reply.status}`;
  };

  let act = null;
  let version = null;
  let demanded = ""; // the name that the server wants, where this page did not know of it
  const open = (button) => {
    const wanted = JSON.parse(button.dataset.act);
    const like = wanted.like ? JSON.parse($(`like-${wanted.like}`).dataset.like) : {};
    begin({ ...wanted, ...like }, wanted.go || button.textContent.replace("…", ""));
  };
  const begin = (wanted, label) => {
    act = wanted;
    version = act.version;
    demanded = "";
    const reason = $("reason") ? $("reason").value.trim() : "";
    if (act.grade === "step" && reason.length >= 5) { send({}, reason, ""); return; }
    $("act").classList.toggle("danger", act.grade === "name");
    $("act-title").textContent = act.title;
    $("act-says").textContent = act.says;
    $("act-trouble").textContent = "";
    $("act-preview").textContent = "";
    $("act-reason").value = reason;
    $("act-typed").value = "";
    $("act-fields").replaceChildren(...act.fields.map(field));
    $("act-go").disabled = false;
    $("act-go").textContent = label;
    asks();
    $("act").showModal();
    const first = act.grade === "number" ? $("act-fields").querySelector("input") : null;
    if (first) { first.focus(); first.select(); }
    else if (act.grade === "step") $("act-reason").focus();
    else $("act-cancel").focus(); // nothing dangerous lies under Enter
    preview();
  };
  const field = (wanted) => {
    const label = document.createElement("label");
    label.className = "field";
    label.append(wanted.label);
    const input = document.createElement(wanted.kind === "select" ? "select" : "input");
    if (wanted.kind === "select") {
      for (const option of wanted.options) input.add(new Option(option, option));
    } else {
      input.type = wanted.kind;
      input.autocomplete = "off";
      if (wanted.kind === "number") input.min = 1;
    }
    input.name = wanted.name;
    input.value = wanted.value;
    input.addEventListener("input", () => { asks(); preview(); });
    label.append(input);
    return label;
  };
  const value = (name) => {
    const input = $("act-fields").querySelector(`[name="${name}"]`);
    return input && !input.closest("label").hidden ? input.value.trim() : "";
  };
  // Some fields are asked for only where another one says so.
  const isShown = (wanted) => {
    if (!wanted.shown_for) return true;
    const [name, values] = wanted.shown_for.split("=");
    return values.split("|").includes(value(name));
  };
  const isMissing = (wanted) => wanted.required && isShown(wanted) && !value(wanted.name);
  // What has to be typed: a number again, or a name; nothing for a small step.
  const typed = () => {
    if (demanded) return { what: "name", wanted: demanded };
    if (act.grade === "name") {
      if (!act.typed.startsWith("=")) return { what: "name", wanted: act.typed };
      const found = act.typed.slice(1).split("|").map(value).find((one) => one);
      return { what: "name", wanted: found || "" };
    }
    if (act.grade === "number") {
      const next = Number(value("tps"));
      if (next > act.now * 2) return { what: "name", wanted: act.typed };
      if (Math.abs(next - act.now) > act.now * 0.2) return { what: "number", wanted: String(next) };
    }
    return null;
  };
  const asks = () => {
    for (const wanted of act.fields) {
      $("act-fields").querySelector(`[name="${wanted.name}"]`).closest("label").hidden = !isShown(wanted);
    }
    const need = typed();
    $("act-typed-row").hidden = !need;
    if (!need) return;
    $("act-typed-label").textContent = need.what === "name"
      ? `To confirm, type: ${need.wanted || "what you filled in above"}`
      : `A large step. Type the number again: ${need.wanted}`;
  };
  const collected = () => {
    const body = { ...act.fixed };
    const headers = {};
    for (const wanted of act.fields) {
      const text = value(wanted.name);
      if (wanted.header) headers[wanted.header] = text;
      else if (text) body[wanted.name] = wanted.kind === "number" ? Number(text) : text;
    }
    return { body, headers };
  };
  let asked = 0;
  const preview = async () => {
    if (!act.previews) return;
    const mine = ++asked;
    await new Promise((done) => setTimeout(done, 250));
    if (mine !== asked || !$("act").open) return;
    if (act.fields.some(isMissing)) { $("act-preview").textContent = ""; return; }
    const { body, headers } = collected();
    if (version !== null) headers["If-Match"] = `"v${version}"`;
    const reply = await call(act.method, `${act.path}?dry_run=true`,
      { ...body, reason: "a look beforehand" }, headers);
    if (mine !== asked) return;
    if (!reply.ok) { $("act-preview").textContent = await words(reply); return; }
    const seen = await told(reply);
    if (mine !== asked) return;
    if (seen.prechecks) {
      $("act-preview").textContent = seen.prechecks.map((check) => {
        const sign = check.passed ? "● " : check.required ? "■ " : "▲ ";
        return sign + check.name + (check.detail ? `: ${check.detail}` : "");
      }).join("\n") || "Nothing stands in the way.";
    } else {
      const waiting = `${many(seen.orders_affected)} orders wait`;
      $("act-preview").textContent = [
        seen.eta_before ? `${waiting}: ${seen.eta_before} before, ${seen.eta_after} after` : `${waiting} in this scope`,
        ...(seen.warnings || []).map((warning) => `▲ ${warning}`),
      ].join("\n");
    }
  };
  const send = async (extra, reason, confirmed) => {
    const { body, headers } = act.grade === "step" ? { body: { ...act.fixed }, headers: {} } : extra;
    if (version !== null) headers["If-Match"] = `"v${version}"`;
    if (confirmed) headers["X-Confirm"] = confirmed;
    $("act-go").disabled = true;
    const mine = act;
    let reply;
    try {
      reply = await call(mine.method, mine.path, { ...body, reason }, headers);
    } catch {
      fail("No answer came. What was asked for may have happened: look before you ask again.");
      return;
    }
    if (reply.status === 412) { await conflict(reply); return; }
    if (reply.status === 428) { await demand(reply); return; }
    if (!reply.ok) { fail(await words(reply)); return; }
    const answer = await told(reply);
    if ($("act").open) $("act").close();
    if (!source) setTimeout(() => location.reload(), 3000); // a page that does not move
    const pending = "applied" in answer && answer.applied === null ? " (not yet applied)" : "";
    const proved = answer.proved ? `: ${answer.proved}` : "";
    toast(`Done: ${mine.title}${proved}${pending}`,
      answer.undo_url ? { url: answer.undo_url, title: mine.title, seen: reply.headers.get("etag") } : null);
  };
  const fail = (why) => {
    $("act-go").disabled = false;
    if ($("act").open) $("act-trouble").textContent = `■ ${why}`;
    else toast(`■ Refused: ${why}`);
  };
  // The server knows better how large a step is: it says whose name it wants.
  const demand = async (reply) => {
    const { detail, context } = await told(reply);
    const name = (context || {}).confirm || "";
    if (name && !$("act").open) begin({ ...act, grade: "name", typed: name }, "Do it");
    demanded = name;
    fail(name ? `A large step: ${detail.split(":")[0]}.` : detail);
    asks();
  };
  // Somebody was faster. Nothing is overwritten: what stands now is shown, and is asked about anew.
  const conflict = async (reply) => {
    const problem = await told(reply);
    const { current, changed_by: by, changed_at: at } = problem.context || {};
    const when = at ? ` ${Math.max(0, Math.round((serverNow() - Date.parse(at)) / 1000))} s ago` : "";
    const now = current && current.tps !== undefined ? ` It stands at ${current.tps} now.` : "";
    const why = by
      ? `CONFLICT: ${by} changed this${when}.${now} Nothing was overwritten.`
      : `CONFLICT: ${problem.detail || "it has changed"}. Nothing was overwritten.`;
    if (!$("act").open) { toast(`▲ ${why} Look, then press again.`); return; }
    $("act-trouble").textContent = `▲ ${why}`;
    if (current && current.version !== undefined) {
      version = current.version;
      if (act.now !== null && current.tps !== undefined) act.now = current.tps;
      $("act-typed").value = "";
      asks();
      preview();
      $("act-trouble").textContent += " Press again to change it from there.";
    }
    $("act-go").disabled = false;
  };
  // In a dialog that moves much, Enter leads on to the next thing to fill in, and sends nothing.
  const onward = (event) => {
    if (event.key !== "Enter" || act.grade !== "name" || event.target.tagName === "BUTTON") return;
    event.preventDefault();
    const stops = [...$("act-form").querySelectorAll("input, select, #act-go")].filter((one) => one.offsetParent);
    stops[stops.indexOf(event.target) + 1].focus();
  };
  const submit = (event) => {
    event.preventDefault();
    const reason = $("act-reason").value.trim();
    if (reason.length < 5) { fail("Say why, in five letters or more."); $("act-reason").focus(); return; }
    const missing = act.fields.find(isMissing);
    if (missing) { fail(`Fill in: ${missing.label}`); return; }
    const need = typed();
    const given = $("act-typed").value.trim();
    if (need && (!need.wanted || given !== need.wanted)) {
      fail(need.what === "name" ? `Type it exactly: ${need.wanted || "fill in which one"}`
        : `Type the number again: ${need.wanted}`);
      $("act-typed").focus();
      return;
    }
    send(collected(), reason, need && need.what === "name" ? given : "");
  };

  // --- the keyboard --------------------------------------------------------------------
  let chosen = 0;
  let armedUntil = 0;
  let goes = 0;
  const places = { o: "session", b: "brokers", t: "timeline", d: "doubts", r: "tuning", c: "pipelines", a: "/console/audit" };
  const go = (name) => {
    const place = $(name);
    if (name.startsWith("/")) location.assign(name);
    else if (place) place.scrollIntoView({ block: "center" });
    else location.assign(`/console#${name}`);
  };
  const choose = (number) => {
    for (const card of document.querySelectorAll(".card")) {
      card.classList.toggle("chosen", card.id === `broker-${number}`);
    }
  };
  const press = (key) => {
    const card = chosen ? $(`broker-${chosen}`) : document.querySelector(".card:not(.routes)");
    const button = (card && card.querySelector(`[data-key="${key}"]`))
      || document.querySelector(["footer", ".routes", ".order", "#session"].map((place) => `${place} [data-key="${key}"]`).join());
    if (button) open(button);
    else toast("There is no such button for you here.");
  };
  const step = (key) => {
    if (!chosen) { toast("Choose a broker first: 1 to 9."); return; }
    if (performance.now() > armedUntil) { toast("Press e first: it arms + and - for five seconds."); return; }
    armedUntil = performance.now() + 5000;
    press(key);
  };
  const keys = {
    "?": () => $("help").showModal(),
    "/": () => $("find").focus(),
    "e": () => { armedUntil = performance.now() + 5000; toast("Armed: + and - step the rate for five seconds."); },
    "+": () => step("plus"),
    "=": () => step("plus"),
    "-": () => step("minus"),
    "s": () => press("set"),
    "u": () => takeBack(),
    "p": () => press(chosen ? "pause" : "release"),
    "Escape": () => { chosen = 0; choose(0); },
    "f": () => press("failover"),
    "h": () => press("halt"),
    "c": () => press("cancel"),
    "l": turn,
    ".": freeze,
    "g": () => { goes = performance.now() + 1500; },
    "z": () => {
      const all = zones();
      zone = (zone + 1) % all.length;
      turned = true;
      keep("zone", all[zone].label);
      zoned();
      redraw();
      toast(`Times in ${all[zone].label}.`);
    },
  };
  const typing = (target) => target.closest("input, select, textarea, dialog[open]");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) {
      if (event.key === "Escape" && event.target.blur && !event.target.closest("dialog")) event.target.blur();
      return;
    }
    if (performance.now() < goes && places[event.key]) {
      goes = 0;
      go(places[event.key]);
      event.preventDefault();
      return;
    }
    if (/^[1-9]$/.test(event.key) && $(`broker-${event.key}`)) {
      chosen = Number(event.key);
      choose(chosen);
      $(`broker-${chosen}`).scrollIntoView({ block: "nearest" });
      event.preventDefault();
    } else if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  // --- begin ---------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (button) open(button);
  });
  if ($("act")) {
    $("act-form").addEventListener("submit", submit);
    $("act-form").addEventListener("keydown", onward);
    $("act-cancel").addEventListener("click", () => $("act").close());
    $("theme").addEventListener("click", turn);
    $("keys").addEventListener("click", () => $("help").showModal());
    remembered();
  }
  if ($("live")) {
    $("copy").addEventListener("click", copied);
    for (const choice of document.querySelectorAll("[name=story]")) {
      choice.addEventListener("change", () => { $("timeline").dataset.only = choice.value; });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    setInterval(beat, 250);
    beat();
    listen();
  }
})();
