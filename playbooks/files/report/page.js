// SPDX-FileCopyrightText: The postmaster.mta_sts authors
// SPDX-License-Identifier: GPL-3.0-or-later

// Makes rows, details and the time line from the data in the page. Whatever is in the data becomes text, and nothing else.
(() => {
  "use strict";

  const PAGE = 100;
  const CERTIFICATES = 7;
  const DAY = 86400000;
  const SOON = 14;
  const data = JSON.parse(document.getElementById("data").textContent);
  const rollout = data.kind === "rollout";
  const at = Date.parse(data.at);
  const find = (selector) => document.querySelector(selector);
  const number = (value) => value.toLocaleString("en");
  const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

  /** An element with texts and elements in it; nothing is left out for null. */
  const make = (name, className, ...content) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...content.filter((one) => one !== null));
    return element;
  };
  const dot = (tone) => make("i", `dot ${tone}`);

  const moment = (text) => {
    // To the minute, and never too early.
    const time = new Date(Math.ceil(Date.parse(text) / 60000) * 60000).toISOString();
    return `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;
  };
  const days = (text) => (Date.parse(text) - at) / DAY;
  const distance = (value) => {
    const whole = Math.floor(Math.abs(value));
    if (whole < 1) return value < 0 ? "today, in the past" : "within a day";
    return value < 0 ? `${counted(whole, "day")} ago` : `in ${counted(whole, "day")}`;
  };

  // --- colours ---

  const themes = find(".theme");
  const choose = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  try {
    const kept = localStorage.getItem("mta-sts-theme");
    const radio = [...themes.querySelectorAll("input")].find((one) => one.value === kept);
    if (radio) {
      radio.checked = true;
      choose(radio.value);
    }
  } catch {
    // Storage may be forbidden; the choice is for this view then.
  }
  themes.addEventListener("change", (event) => {
    choose(event.target.value);
    try {
      localStorage.setItem("mta-sts-theme", event.target.value);
    } catch {
      // As above.
    }
  });
  themes.hidden = false;

  // --- the time line of certificates ---

  const bend = (value) => Math.sign(value) * Math.sqrt(Math.abs(value));
  const tone = (left) => (left < 0 ? "bad" : left < SOON ? "warn" : "good");

  /** What is to be known of a certificate beside who presents it, and until when. */
  const notes = (one) => {
    const host = one.subjects[0].replace("https://", "").split(/[: ]/)[0];
    const others = one.names.filter((name) => name !== host);
    const named = others.slice(0, 3).join(", ") + (others.length > 3 ? ` and ${counted(others.length - 3, "more name")}` : "");
    return [
      one.subjects.length > 1 ? `and at ${counted(one.subjects.length - 1, "other address")}` : "",
      others.length ? `${others.length === one.names.length ? "for" : "also for"} ${named}` : "",
      one.issuer ? `by ${one.issuer}` : "",
      Date.parse(one.since) > at ? `not valid before ${moment(one.since)}` : "",
    ].filter(Boolean).join(" \u00b7 ");
  };

  const drawCertificates = () => {
    const certificates = data.certificates;
    if (!certificates.length) return;
    const panel = find("#certificates");
    const list = panel.querySelector(".line");
    const button = panel.querySelector("button");
    const ends = certificates.map((one) => days(one.until));
    // Near days get more room than far ones; what is farther away than the ends of the scale stands at its end.
    const first = ends[0] < 0 ? Math.max(Math.min(ends[0], -3), -60) : 0;
    const last = Math.min(Math.max(ends[ends.length - 1], 30), 400);
    const place = (value) => {
      const inside = Math.min(Math.max(value, first), last);
      return `${(((bend(inside) - bend(first)) / (bend(last) - bend(first))) * 100).toFixed(2)}%`;
    };

    const sums = [
      ["bad", ends.filter((left) => left < 0).length, "expired"],
      ["warn", ends.filter((left) => left >= 0 && left < SOON).length, `within ${SOON} days`],
      ["good", ends.filter((left) => left >= SOON).length, "later"],
    ];
    for (const [look, sum, word] of sums) {
      if (sum) panel.querySelector(".sums").append(make("li", "", dot(look), make("b", "", number(sum)), word));
    }
    const marks = [[-30, "-30 d"], [0, "this run"], [7, "7 d"], [30, "30 d"], [90, "90 d"], [180, "180 d"], [365, "1 year"]];
    for (const [mark, word] of marks.filter(([day]) => day >= first && day <= last)) {
      const end = mark === first ? "first" : mark > last * 0.85 ? "last" : "";
      const label = make("span", `${end} ${mark === 7 || mark === 180 ? "minor" : ""}`.trim(), word);
      label.style.left = place(mark);
      panel.querySelector(".scale").append(label);
    }
    list.style.setProperty("--now", place(0));

    const row = (one) => {
      const left = days(one.until);
      const look = Date.parse(one.since) > at ? "bad" : tone(left);
      const span = make("div", "span");
      span.style.left = place(Math.min(left, 0));
      span.style.right = `calc(100% - ${place(Math.max(left, 0))})`;
      const end = dot(look);
      end.style.left = place(left);
      const track = make("div", "track", span, end);
      track.setAttribute("aria-hidden", "true");
      const when = make("span", "when", make("b", "", distance(left)), " ", make("small", "", one.until.slice(0, 10)));
      return make("li", `cert ${look}`,
        make("div", "who", make("span", "", one.subjects[0]), when), make("small", "", notes(one)), track);
    };
    const show = () => {
      const from = list.childElementCount;
      list.append(...certificates.slice(from, from + (from ? PAGE : CERTIFICATES)).map(row));
      const rest = certificates.length - list.childElementCount;
      button.hidden = rest <= 0;
      button.textContent = rest > PAGE ? `Show ${PAGE} more of ${number(rest)}` : `Show the other ${number(rest)}`;
      if (from) {
        // The keyboard goes on where the new ones begin.
        list.children[from].tabIndex = -1;
        list.children[from].focus();
      }
    };
    button.addEventListener("click", show);
    show();
    panel.hidden = false;
  };

  // --- the domains ---

  const [NAME, STATE, LEVEL, POLICY, HOLDS, FINDINGS, FACTS, REPORTED] = [0, 1, 2, 3, 4, 5, 6, 7];
  const toneOf = (pairs) => Object.fromEntries(pairs.map(([word, look]) => [word, look]));
  const stateTone = toneOf(data.states);
  const levelTone = toneOf(data.levels);
  const stateRank = Object.fromEntries(data.states.map(([word], index) => [word, index]));
  const rank = Object.fromEntries(data.levels.map(([word], index) => [word, index]));
  // By level, then what is broken before what is only tested.
  const gravity = (index) => rank[data.domains[index][LEVEL]] * 10 - stateRank[data.domains[index][STATE]];
  const worstFirst = data.domains.map((_, index) => index).sort((a, b) => gravity(a) - gravity(b) || a - b);
  const names = new Intl.Collator("en", { numeric: true });
  let byName = null;

  const form = find(".tools");
  const list = find(".rows");
  const chosen = { order: [], page: 0 };
  const codesOf = (domain) => [
    ...domain[HOLDS].map(([code]) => code),
    ...domain[FINDINGS].map((index) => data.findings[index][0]),
  ];
  let texts = null;
  const textOf = (index) => {
    // Made when somebody searches, and once.
    texts ??= data.domains.map((domain) => [
      domain[NAME], domain[POLICY], ...domain[HOLDS].flat(), ...domain[FACTS].flat().filter(Boolean),
      ...domain[FINDINGS].flatMap((found) => data.findings[found]), ...codesOf(domain).map((code) => data.codes[code].title),
    ].join("\n").toLowerCase());
    return texts[index];
  };

  const issue = (code, what, seen, until) => {
    const known = data.codes[code];
    const facts = make("dl", "");
    const fact = (term, ...content) => facts.append(make("dt", "", term), make("dd", "", ...content));
    fact(rollout && known.group === "hold" ? "Why" : "Seen", ...seen);
    if (until) fact("Until", `${moment(until)}, ${distance(days(until))}`);
    fact("Cure", known.remedy);
    fact("Code", make("code", "", code), known.reference ? ` · ${known.reference}` : "");
    return make("li", known.tone,
      make("h4", "", dot(known.tone), make("span", "tag", known.word), make("span", "", what)), facts);
  };

  const today = at - (at % DAY);
  /** A list in parts of one length. */
  const parts = (flat, length) => Array.from({ length: flat.length / length }, (_, index) => flat.slice(index * length, (index + 1) * length));
  const sum = (rows, place) => rows.reduce((total, row) => total + row[place], 0);

  /** What senders reported, day by day, the last first. */
  const timeLine = (line) => {
    const word = (index) => data.words[index];
    const days = line.map(([ago, told, failed = [], more = 0, ...sums]) => {
      const reporters = parts(told, 3);
      return { ago, reporters, failures: parts(failed, 4), more, sums: more ? sums : [sum(reporters, 1), sum(reporters, 2)] };
    }).reverse();
    const most = Math.max(...days.map(({ sums }) => sums[0] + sums[1]), 1);
    const row = ({ ago, reporters, failures, more, sums: [succeeded, failed] }) => {
      const total = succeeded + failed;
      const track = make("span", "track", ...[["bad", failed], ["good", succeeded]].filter(([, some]) => some).map(([look, some]) => {
        const part = make("i", look);
        // What failed is to be seen however little it is, and a day with few sessions beside one with many.
        part.style.width = `max(${((some / total) * Math.sqrt(total / most) * 100).toFixed(2)}%, 4px)`;
        return part;
      }));
      track.setAttribute("aria-hidden", "true");
      const told = make("span", "told", make("span", "", `${number(succeeded)} succeeded`),
        failed ? make("b", "bad", dot("bad"), `${number(failed)} failed`) : make("span", "", "none failed"));
      const by = reporters.map(([name, well, bad]) => `${word(name)} (${bad ? `${number(bad)} of ${number(well + bad)} failed` : number(well)})`);
      const what = failures.map(([type, host, name, some]) => make("li", "",
        `${number(some)} \u00d7 `, make("code", "", word(type)), word(host) ? " at " : "", make("span", "mono", word(host)), `, by ${word(name)}`));
      if (more) what.push(make("li", "", `${number(more)} more reporters and failures are not listed`));
      return make("li", "",
        make("div", "day", make("time", "", new Date(today - ago * DAY).toISOString().slice(0, 10)), told, track),
        make("p", "by", `Reported by ${by.join(", ")}`),
        what.length ? make("ul", "what", ...what) : null);
    };
    return make("section", "reported", make("h4", "", "What senders reported, by day in UTC"), make("ol", "", ...days.map(row)));
  };

  const details = (domain) => {
    const issues = [
      ...domain[HOLDS].map(([code, message, until]) => issue(code, data.codes[code].title, [message], until)),
      ...domain[FINDINGS].map((index) => {
        const [code, subject, seen] = data.findings[index];
        return issue(code, data.codes[code].title, [make("span", "mono", subject), `: ${seen}`], null);
      }),
    ];
    const known = make("dl", "known");
    domain[FACTS].forEach((value, index) => {
      if (!value || !value.length) return;
      known.append(make("dt", "", data.facts[index]));
      for (const one of [value].flat()) known.append(make("dd", "mono", one));
    });
    const left = issues.length ? make("ul", "issues", ...issues) : make("p", "calm", rollout ? "Nothing holds this domain." : "Nothing was found wrong.");
    return make("div", "body", left, known, domain[REPORTED].length ? timeLine(domain[REPORTED]) : null);
  };

  const worst = (domain) => {
    const [hold] = domain[HOLDS];
    const [found] = domain[FINDINGS];
    const others = domain[HOLDS].length + domain[FINDINGS].length - 1;
    let text = rollout ? "ok" : "nothing found";
    if (hold) text = `${hold[2] ? `until ${moment(hold[2])}: ` : ""}${hold[1]}`;
    else if (found !== undefined) text = data.codes[data.findings[found][0]].title;
    const word = rollout && domain[LEVEL] !== "ok" ? `${domain[LEVEL]}: ` : "";
    return make("span", "worst", dot(levelTone[domain[LEVEL]]), make("span", "", word ? make("b", "", word) : null, text,
      others > 0 ? make("span", "others", ` +${others}`) : null));
  };

  const row = (index) => {
    const domain = data.domains[index];
    const element = make("details", "",
      make("summary", "",
        make("span", "name", domain[NAME]),
        make("span", "state", dot(stateTone[domain[STATE]]), domain[STATE]),
        make("span", "policy", domain[POLICY]),
        worst(domain)));
    element.addEventListener("toggle", () => {
      if (element.open && element.childElementCount === 1) element.append(details(domain));
    });
    return make("li", "", element);
  };

  const draw = () => {
    const total = chosen.order.length;
    const from = chosen.page * PAGE;
    list.replaceChildren(...chosen.order.slice(from, from + PAGE).map(row));
    if (!total) list.append(make("li", "none", "No domain is like that."));
    find(".pages").hidden = total <= PAGE;
    find("#page").textContent = `${number(from + 1)} to ${number(Math.min(from + PAGE, total))} of ${number(total)}`;
    find("#back").disabled = !chosen.page;
    find("#next").disabled = from + PAGE >= total;
  };

  const filter = () => {
    const values = Object.fromEntries(new FormData(form));
    const words = values.text.toLowerCase().split(/\s+/).filter(Boolean);
    byName ??= values.order === "name" ? [...worstFirst].sort((a, b) => names.compare(data.domains[a][NAME], data.domains[b][NAME])) : null;
    chosen.order = (values.order === "name" ? byName : worstFirst).filter((index) => {
      const domain = data.domains[index];
      return (!values.state || domain[STATE] === values.state)
        && (!values.level || domain[LEVEL] === values.level)
        && (!values.code || codesOf(domain).includes(values.code))
        && words.every((word) => textOf(index).includes(word));
    });
    chosen.page = 0;
    find("#shown").textContent = `${number(chosen.order.length)} of ${counted(data.domains.length, "domain")} shown`;
    find("#clear").hidden = !(values.state || values.level || values.code || words.length);
    for (const button of document.querySelectorAll("[data-choose]")) {
      button.setAttribute("aria-pressed", String(values[button.dataset.choose] === button.dataset.value));
    }
    draw();
  };

  const turn = (by) => {
    chosen.page += by;
    draw();
    find("#domains").focus();
  };

  const options = (name, label, all, pairs) => {
    const select = form.elements[name];
    select.previousElementSibling.textContent = label;
    select.append(new Option(all, ""), ...pairs.map(([value, sum]) => new Option(`${value} (${number(sum)})`, value)));
  };
  const sums = (rows) => rows.map(([value, , sum]) => [value, sum]);
  options("state", rollout ? "Stage" : "Verdict", "All", sums(data.states));
  options("level", rollout ? "State" : "Worst finding", "All", sums(data.levels));
  find("#head").textContent = rollout ? "Stage" : "Verdict";
  options("code", "Code", "All", Object.entries(data.codes).map(([code, known]) => [code, known.count]));

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  find("#clear").addEventListener("click", () => {
    form.reset();
    filter();
    form.elements.text.focus();
  });
  find("#back").addEventListener("click", () => turn(-1));
  find("#next").addEventListener("click", () => turn(1));
  for (const button of document.querySelectorAll("[data-choose]")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const select = form.elements[button.dataset.choose];
      const again = select.value === button.dataset.value;
      form.reset();
      select.value = again ? "" : button.dataset.value;
      filter();
      if (!again) find("#domains").focus();
    });
  }

  drawCertificates();
  filter();
  find("#list").hidden = false;
})();
