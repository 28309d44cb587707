"use strict";

// WordSearch is a plugin of Swagger UI. Its filter finds operations by all words of a text, not only tags.
function WordSearch(system) {
  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

  function matches(tag, entry, searched) {
    const operation = entry.get("operation");
    const fields = ["summary", "description", "operationId"].map((name) => operation.get(name));
    const text = [tag, entry.get("method"), entry.get("path"), ...fields].join(" ").toLowerCase();
    return searched.every((word) => text.includes(word));
  }

  function opsFilter(tags, text) {
    const searched = words(text);
    return tags
      .map((tag, name) => tag.update("operations", (all) => all.filter((entry) => matches(name, entry, searched))))
      .filter((tag) => tag.get("operations").size > 0);
  }

  // search shows the operations with the words, and opens their tags.
  const opened = new Set();
  function search(text) {
    system.layoutActions.updateFilter(text);
    const found = words(text).length > 0 ? system.specSelectors.taggedOperations().keySeq().toArray() : [];
    for (const tag of opened) if (!found.includes(tag)) system.layoutActions.show(["operations-tag", tag], false);
    for (const tag of found) if (!opened.has(tag)) system.layoutActions.show(["operations-tag", tag], true);
    opened.clear();
    for (const tag of found) opened.add(tag);
  }

  function SearchField({ layoutSelectors, specSelectors }) {
    const filter = layoutSelectors.currentFilter();
    const text = typeof filter === "string" && filter !== "true" ? filter : "";
    const none = words(text).length > 0 && specSelectors.taggedOperations().size === 0;
    const { createElement } = system.React;
    return createElement("div", { className: "filter-container" },
      createElement("div", { className: "filter wrapper" },
        createElement("input", {
          className: "operation-filter-input", type: "search", value: text, "aria-label": "Search operations",
          placeholder: "Search operations by words of the path, summary, description or tag",
          onChange: (event) => search(event.target.value),
        }),
        none && createElement("p", { className: "omni-none", role: "status" }, "No operation has all of these words.")));
  }

  return { fn: { opsFilter }, components: { FilterContainer: SearchField } };
}

// The demo practice: one click signs in as one of its users. The page keeps the tokens in memory only.
window.addEventListener("DOMContentLoaded", async () => {
  const bar = document.getElementById("omni-demo");
  const { password, accounts } = await (await fetch("/api/docs/demo-sign-ins.json")).json();
  if (accounts.length === 0) return;
  let timer;

  async function post(path, body) {
    const response = await fetch("/api/v1/auth/" + path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    return answer;
  }

  function use(answer) {
    window.ui.preauthorizeApiKey("accessToken", answer.accessToken);
    clearTimeout(timer);
    timer = setTimeout(async () => use(await post("refresh", { refreshToken: answer.refreshToken })), answer.expiresIn * 750);
  }

  const output = document.createElement("output");
  for (const { email, label } of accounts) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = email;
    button.addEventListener("click", async () => {
      try {
        const answer = await post("login", { email, password });
        use(answer);
        for (const other of bar.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
        output.textContent = `Signed in as ${answer.user.name}.`;
      } catch (failure) {
        output.textContent = failure.message;
      }
    });
    bar.append(button);
  }
  bar.append(output);
  bar.hidden = false;
});
