"""The style sheet of the report: light, dark and paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif;
  --page: #f4f5f7; --card: #ffffff; --ink: #16202c; --muted: #5c6875; --grid: #e3e7ec; --line: #dde2e8;
  --normal: #2f6fb2; --anomaly: #cf4a26; --mark: #16202c; --good: #1c7a4a; --bad: #b3261e; --track: #e9edf2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151b; --card: #18202a; --ink: #e8edf3; --muted: #9aa7b5; --grid: #2a3440; --line: #2a3440;
    --normal: #6aa9e9; --anomaly: #ff8a65; --mark: #e8edf3; --good: #63c893; --bad: #ff8a80; --track: #26303b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 var(--font);
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 24px 48px; display: grid; gap: 16px; }
h1, h2, h3, p { margin: 0; }
header { padding: 0 4px 6px; }
header .brand { font-weight: 700; letter-spacing: .01em; color: var(--anomaly); }
header .brand span { font-weight: 400; color: var(--muted); }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.015em; margin: 2px 0 4px; overflow-wrap: anywhere; }
header p:last-child, .muted { color: var(--muted); }
h2 { font-size: 15.5px; margin-bottom: 8px; letter-spacing: -.005em; }
h2.second { margin-top: 26px; }
.card, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 18px 20px; min-width: 0; break-inside: avoid; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.pair > :only-child { grid-column: 1 / -1; }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 16px; }
.tile { padding: 14px 20px 15px; border-top: 3px solid var(--normal); break-inside: avoid; }
.tile.decision { border-top-color: var(--anomaly); }
.tile h3 { font-size: 13px; font-weight: 600; color: var(--muted); }
.tile .figure { font-size: 29px; line-height: 1.25; font-weight: 650; letter-spacing: -.02em; }
.tile p:last-child { font-size: 12.5px; line-height: 1.4; color: var(--muted); }
.card > p + p { margin-top: 4px; }
code { font: .93em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--track);
  padding: 1px 5px; border-radius: 4px; }
.good { color: var(--good); font-weight: 600; } .bad, .warning { color: var(--bad); font-weight: 600; }
.chart { margin: 0; }
.chart svg { display: block; width: 100%; height: auto; }
.chart svg * { stroke-linejoin: round; stroke-linecap: butt; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 500; }
thead th { font-size: 12.5px; color: var(--muted); padding-bottom: 5px; }
th, td { padding: 6px 14px 6px 0; vertical-align: middle; }
tbody tr { border-top: 1px solid var(--grid); break-inside: avoid; }
tbody th { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
td.wide { width: 40%; padding-right: 0; }
.card > p + table { margin-top: 8px; }
.bar { height: 9px; border-radius: 5px; background: var(--track); overflow: hidden; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.bar span { display: block; height: 100%; border-radius: 5px; background: var(--normal); }
.attacks .bar span { background: var(--anomaly); }
.confusion { margin-bottom: 10px; }
.confusion td:not(.number) { width: 38%; padding: 14px 16px; border: 3px solid var(--card); border-radius: 10px;
  background: color-mix(in srgb, var(--kind) var(--strength), var(--card)); background-clip: padding-box;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.confusion .right { --kind: color-mix(in srgb, var(--normal) 55%, var(--card)); }
.confusion .wrong { --kind: color-mix(in srgb, var(--anomaly) 65%, var(--card)); }
.confusion tbody tr { border: 0; }
.confusion td b { display: block; font-size: 21px; line-height: 1.2; letter-spacing: -.01em; }
.confusion td span { font-size: 12.5px; }
.confusion thead th { padding-left: 16px; } .confusion thead th.number { padding-left: 0; }
.strip { position: relative; height: 56px; margin: 12px 4px 0; }
.strip .rail { position: absolute; top: 26px; left: 0; right: 0; height: 4px; border-radius: 2px;
  background: var(--track); }
.strip .interval { position: absolute; top: 22px; height: 12px; border-radius: 6px; background: var(--normal);
  opacity: .35; }
.strip .tick { position: absolute; top: 0; width: 0; height: 100%; font-size: 12px; color: var(--muted); }
.strip .tick span { position: absolute; left: 0; transform: translateX(-50%); white-space: nowrap; }
.strip .tick i { position: absolute; left: -1px; top: 18px; width: 2px; height: 20px; background: var(--muted); }
.strip .asked span { top: -1px; } .strip .realised span { top: 38px; color: var(--ink); font-weight: 600; }
.strip .realised i { left: -5px; top: 23px; width: 10px; height: 10px; border-radius: 50%; background: var(--ink); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 18px; margin: 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.files { margin: 0; padding-left: 18px; overflow-wrap: anywhere; }
footer { padding: 6px 4px 0; color: var(--muted); font-size: 13px; }
footer h2 { font-size: 13px; margin-bottom: 2px; }
@media (max-width: 760px) {
  .pair { grid-template-columns: 1fr; } .tiles { grid-template-columns: 1fr 1fr; } main { padding: 22px 14px; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #16202c; --muted: #4d5965; --grid: #dfe4ea;
    --line: #cfd6de; --normal: #2f6fb2; --anomaly: #cf4a26; --mark: #16202c; --good: #1c7a4a; --bad: #b3261e;
    --track: #e9edf2; }
  main { padding: 0; gap: 12px; max-width: none; } body { font-size: 12px; }
  @page { margin: 14mm; }
}
"""
