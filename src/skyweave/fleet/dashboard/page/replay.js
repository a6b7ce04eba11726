"use strict";
// A recording is played: the slider and the buttons say where it goes on; everybody who watches sees the same.

const STEP_SECONDS = 5;
let sliding = false;                              // while somebody holds the slider, it does not move by itself

function sendReplay(message) { if (socket && socket.readyState === WebSocket.OPEN) { socket.send(JSON.stringify(message)); } }
function seek(time) { if (state && state.replay) { sendReplay({ seek: Math.min(Math.max(time, state.replay.begin), state.replay.end) }); } }
function stepReplay(seconds) { if (state && state.replay) { seek(state.replay.position + seconds); } }
function togglePlay() { if (state && state.replay) { sendReplay({ playing: !state.replay.playing }); } }

function fillReplay() {
  const replay = state.replay;
  $("replay").hidden = !replay;
  if (!replay) { return; }
  const slider = $("slider");
  slider.max = replay.end - replay.begin;
  if (!sliding) { slider.value = replay.position - replay.begin; }
  const clock = (time) => new Date(time * 1000).toISOString().slice(11, 19);
  setText($("position"), `${clock(replay.position)} of ${clock(replay.end)} UTC`);
  slider.setAttribute("aria-valuetext", clock(replay.position));
  setText($("play"), replay.playing ? "Hold" : "Play");
  $("play").setAttribute("aria-pressed", replay.playing);
  if (document.activeElement !== $("speed")) { $("speed").value = String(replay.speed); }
  fillMarks(replay);
}

function fillMarks(replay) {                          // alarms and warnings of the whole recording
  const marks = $("marks"), key = replay.marks.join();
  if (marks.dataset.key === key) { return; }
  marks.dataset.key = key;
  marks.replaceChildren(...replay.marks.map(([time, severity]) => {
    const mark = document.createElement("i");
    mark.className = severity;
    mark.style.left = `${100 * (time - replay.begin) / Math.max(replay.end - replay.begin, 1e-3)}%`;
    return mark;
  }));
}
