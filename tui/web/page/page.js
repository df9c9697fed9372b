// Around textual-serve's terminal (textual.js): its size, its font, and what the page says when the cockpit is not there.
"use strict";

const COLUMNS = 62; // that a narrow screen should hold
const CELL = 0.6; // a character's width, in sizes of this font
const RETRY_MS = 3000;
const TITLE = /\x1b\][02];([^\x07\x1b]*)/;
const decoder = new TextDecoder();
const name = document.title;
const terminal = document.getElementById("terminal");
const notice = document.getElementById("notice");
const words = document.getElementById("words");
const again = document.getElementById("again");

// The cookie opens the door from now on: the token should not stay in the address, where it would be read over a shoulder.
history.replaceState(null, "", "/");

function say(text, button) {
  words.textContent = text;
  again.hidden = !button;
  notice.hidden = false;
}

async function retry() {
  if (document.visibilityState === "visible") {
    const answer = await fetch("/", { method: "HEAD" }).catch(() => null);
    if (answer && answer.ok) {
      location.reload();
      return;
    }
    if (answer && answer.status === 403) {
      say("This is another `autoresearch web` by now: open the URL that it printed.", false);
      return;
    }
  }
  setTimeout(retry, RETRY_MS);
}

function closed(event) {
  if (event.code === 1000) {
    say("You have left the cockpit; a run needs no page to go on.", true);
  } else if (event.code === 1001) {
    say("`autoresearch web` has ended; the run is as it was. Start it again and open the URL that it prints.", false);
  } else if (event.code === 1011) {
    say("The cockpit's process ended by itself; the terminal of `autoresearch web` says why. The run is as it was.", true);
  } else if (event.code === 1013) {
    say(event.reason, true);
  } else {
    say("The connection is lost; this page tries again by itself. The run is as it was.", false);
    retry();
  }
}

function painted(event) {
  if (typeof event.data === "string") {
    return;
  }
  notice.hidden = true;
  const title = TITLE.exec(decoder.decode(event.data));
  if (title) {
    document.title = title[1] || name;
  }
}

// textual.js tells nobody why its connection went, and drops the title that a terminal is given.
window.WebSocket = class extends WebSocket {
  constructor(...address) {
    super(...address);
    this.addEventListener("close", closed);
    this.addEventListener("message", painted);
  }

  // textual.js sends what is typed, and where the focus is, before the connection is there.
  send(data) {
    if (this.readyState === WebSocket.CONNECTING) {
      this.addEventListener("open", () => super.send(data), { once: true });
    } else {
      super.send(data);
    }
  }
};

// Of what goes wrong later the terminal itself may still be whole.
window.addEventListener("error", (event) => {
  if (!terminal.classList.contains("-connected")) {
    say(`The terminal does not start here: ${event.message}`, true);
  }
});
again.addEventListener("click", () => location.reload());

async function start() {
  const size = Math.floor(window.innerWidth / COLUMNS / CELL);
  terminal.dataset.fontSize = Math.max(9, Math.min(16, size));
  terminal.dataset.sessionWebsocketUrl = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`;
  // A terminal measures its cells once, so its font has to be there before.
  await Promise.allSettled(["", "bold ", "italic "].map((style) => document.fonts.load(`${style}16px "Roboto Mono"`)));
  const script = document.createElement("script");
  script.src = "/static/textual.js";
  script.addEventListener("load", () => {
    window.onload();
    window.onload = null;
    if (!window.matchMedia("(pointer: coarse)").matches) {
      document.querySelector(".xterm-helper-textarea")?.focus();
    }
  });
  document.head.append(script);
}

// textual.js begins with the page's load event, and this one must not come while it is still on its way.
window.addEventListener("load", start);
