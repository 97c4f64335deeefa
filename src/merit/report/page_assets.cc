#include "merit/report/page_assets.h"

namespace merit::report {

// Series colours are Okabe and Ito's (2008), told apart by people with any common colour blindness; lighter in the
// dark.
const char* const kPageStyle = R"css(
:root{color-scheme:light dark;--ground:#fbfbfa;--card:#ffffff;--ink:#1b1f24;--muted:#5c6570;--rule:#e1e4e8;--grid:#e8eaed;
--accent:#0b6aa8;--good:#00734f;--bad:#b34a00;--neutral:#6a7280;--tint:#f2f4f6;
--s1:#0072b2;--s2:#c25400;--s3:#00875f;--s4:#a8508a;--s5:#8a6d00;--s6:#5c6570;--bar:#b9c6d2}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1b1f23;--ink:#e8eaed;--muted:#a0a9b3;--rule:#32383f;
--grid:#2a2f35;--accent:#6cb8ec;--good:#4cc49a;--bad:#f29a5c;--neutral:#a0a9b3;--tint:#22272c;
--s1:#56b4e9;--s2:#f08c3c;--s3:#3fc49a;--s4:#dd9ac4;--s5:#e3c64f;--s6:#a0a9b3;--bar:#4a5865}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI","Helvetica Neue",
"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:break-word}
main{max-width:64rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:0;letter-spacing:-.015em;font-weight:650}
.subtitle{color:var(--muted);margin:.35rem 0 1.5rem}
h2{font-size:1.25rem;line-height:1.3;margin:3rem 0 .35rem;padding-top:1.1rem;border-top:1px solid var(--rule);
font-weight:650;letter-spacing:-.01em}
.lead{color:var(--muted);margin:0 0 1rem}
p{max-width:50rem}
.verdict{display:flex;gap:.85rem;max-width:none;align-items:baseline;background:var(--card);border:1px solid var(--rule);
border-left:.3rem solid var(--tone);border-radius:.4rem;padding:1rem 1.15rem;margin:0 0 1rem;font-size:1.15rem;
line-height:1.45;font-weight:550;text-wrap:balance}
.verdict i{color:var(--tone);font-style:normal;font-size:.95rem;flex:none}
.good{--tone:var(--good)}.bad{--tone:var(--bad)}.neutral{--tone:var(--neutral)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.7rem,1fr));gap:.6rem;margin:0 0 1.25rem;padding:0}
.figures div{background:var(--card);border:1px solid var(--rule);border-radius:.4rem;padding:.65rem .75rem .7rem}
.figures dt{color:var(--muted);font-size:.82rem;line-height:1.3}
.figures dd{margin:.15rem 0 0;font-size:1.4rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums;
letter-spacing:-.01em}
.figures small{display:block;color:var(--muted);font-size:.8rem;font-weight:400;letter-spacing:0;line-height:1.35;
margin-top:.1rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.92rem;margin:.5rem 0 0}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:.15em}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
figure{margin:1.25rem 0 1.5rem;background:var(--card);border:1px solid var(--rule);border-radius:.4rem;
padding:1rem 1rem .8rem}
figure>div{overflow-x:auto}
figcaption{color:var(--muted);font-size:.88rem;line-height:1.45;margin-top:.5rem;max-width:46rem}
svg.plot{display:block;width:100%;min-width:26rem;max-width:46rem;height:auto;margin:0 auto;
font:13px system-ui,-apple-system,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif}
.plot text{fill:var(--ink);font-variant-numeric:tabular-nums}
.plot text.tick,.plot text.axis{fill:var(--muted)}.plot text.tick{font-size:12px}
.plot text.strong{font-weight:650}.plot text.number{font-size:12.5px}
.plot .grid{stroke:var(--grid)}.plot .mark{stroke:var(--muted);stroke-opacity:.65}
.plot .whisker{stroke:var(--ink);stroke-width:1.3;stroke-opacity:.75}
.plot .ideal{stroke:var(--muted);stroke-dasharray:4 4}
.plot .empty{fill:none;stroke:var(--rule);stroke-dasharray:5 5}
.plot .bar{fill:var(--bar)}.plot .bar.key{fill:var(--s1)}
.plot .s1{--c:var(--s1)}.plot .s2{--c:var(--s2)}.plot .s3{--c:var(--s3)}.plot .s4{--c:var(--s4)}
.plot .s5{--c:var(--s5)}.plot .s6{--c:var(--s6)}
.plot .band{fill:var(--c);fill-opacity:.11}.plot .band.key{fill-opacity:.2}
.plot .curve{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}
.plot .curve.key{stroke-width:2.8}
.plot .curve.s2{stroke-dasharray:7 3}.plot .curve.s3{stroke-dasharray:2 3}.plot .curve.s4{stroke-dasharray:9 3 2 3}
.plot .dot{fill:var(--c);stroke:var(--card);stroke-width:1.2}.plot .hist{fill:var(--c);fill-opacity:.85}
.plot .point{fill:var(--s1);fill-opacity:.45}
.plot text.label{fill:var(--c);font-weight:550}.plot text.label.key{font-weight:700}
.scroll{overflow-x:auto;margin:1rem 0 1.5rem}
table{border-collapse:collapse;width:100%;font-size:.92rem;line-height:1.4;font-variant-numeric:tabular-nums}
caption{text-align:start;color:var(--muted);font-size:.88rem;padding:0 0 .5rem}
th,td{text-align:start;padding:.42rem 1.3rem .42rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;border-bottom:1.5px solid var(--muted);white-space:nowrap}
th:last-child,td:last-child{padding-inline-end:0}
.num{text-align:end;white-space:nowrap}
tbody tr:hover{background:var(--tint)}
th button{all:unset;cursor:pointer;font:inherit}
th button::after{content:"\2195";opacity:.35;margin-inline-start:.3em;font-size:.85em}
th[aria-sort=ascending] button::after{content:"\2191";opacity:1}
th[aria-sort=descending] button::after{content:"\2193";opacity:1}
th button:focus-visible{outline:2px solid var(--accent)}
.filter{display:flex;gap:.6rem;align-items:center;margin:1rem 0 -.35rem;font-size:.92rem;color:var(--muted)}
.filter[hidden]{display:none}
.filter input{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--rule);border-radius:.3rem;
padding:.3rem .55rem;min-width:0;width:18rem;max-width:100%}
details{background:var(--card);border:1px solid var(--rule);border-radius:.4rem;margin:.6rem 0}
summary{cursor:pointer;padding:.6rem .9rem;font-weight:550}
details[open]>summary{border-bottom:1px solid var(--rule)}
.example{padding:.8rem .9rem 1rem}
.example h3,.answer h3{font-size:.82rem;color:var(--muted);font-weight:600;margin:.2rem 0 .3rem}
.answer h3 b{color:var(--tone)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem;margin-top:.9rem}
.answer{min-width:0;border-top:.2rem solid var(--tone);padding-top:.4rem}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;max-height:24rem;overflow-y:auto;background:var(--tint);
border-radius:.3rem;padding:.6rem .75rem;font:.85rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.facts{display:grid;grid-template-columns:minmax(8rem,auto) 1fr;gap:.3rem 1.25rem;margin:1rem 0;font-size:.92rem}
.facts dt{color:var(--muted)}.facts dd{margin:0;overflow-wrap:anywhere;min-width:0}
footer{margin-top:3rem;color:var(--muted);font-size:.85rem}
@media (max-width:34rem){main{padding:1.5rem 1rem 3rem}h1{font-size:1.45rem}.verdict{font-size:1.05rem}
.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.5rem}
figure{padding:.75rem .6rem}svg.plot{min-width:19rem}.plot text,.plot text.number{font-size:15px}.plot text.tick{font-size:14px}
.figures{grid-template-columns:1fr 1fr}}
@media print{:root{--ground:#fff;--card:#fff;--ink:#000;--muted:#444;--rule:#bbb;--grid:#ddd;--tint:#f4f4f4;--accent:#000;
--good:#00573b;--bad:#8f3b00;--neutral:#444;--s1:#0072b2;--s2:#c25400;--s3:#00875f;--s4:#a8508a;--bar:#b9c6d2}
body{font-size:10.5pt}main{max-width:none;padding:0}nav,.filter,th button::after{display:none}
figure,.verdict,.figures div,tr{break-inside:avoid}h2{break-after:avoid}pre{max-height:none}
.verdict,figure,.figures div,.plot{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)css";

const char* const kPageScript = R"js(
'use strict';
for (const table of document.querySelectorAll('table.data')) {
  const body = table.tBodies[0];
  const key = cell => cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent;
  const compare = (a, b) => typeof a === 'number' && typeof b === 'number' ? a - b :
      String(a).localeCompare(String(b), undefined, {numeric: true});
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const missing = v => typeof v !== 'number' && head.classList.contains('num');
      const rows = [...body.rows].map(row => [key(row.cells[i]), row]);
      rows.sort(([a], [b]) => missing(a) - missing(b) || (down ? compare(b, a) : compare(a, b)));
      body.append(...rows.map(r => r[1]));
    });
  });
}
for (const box of document.querySelectorAll('.filter')) {
  box.hidden = false;
  const input = box.querySelector('input'), count = box.querySelector('output');
  const rows = document.getElementById(input.getAttribute('aria-controls')).tBodies[0].rows;
  input.addEventListener('input', () => {
    const wanted = input.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += !row.hidden;
    }
    count.textContent = shown + ' of ' + rows.length;
  });
}
addEventListener('beforeprint', () => { for (const d of document.querySelectorAll('details')) d.open = true; });
)js";

}  // namespace merit::report
