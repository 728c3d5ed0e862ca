"""Puts the figures of a run into the documentation: page.py FIGURES TABLES DOCS

FIGURES is bench.json, TABLES what `bench` has printed, DOCS the folder of benchmarks.md. Draws one chart for each kind of work into
DOCS/charts, and writes tables, machine and charts between the two marks of benchmarks.md. The marks must be there.
"""
import json
import os
import platform
import re
import subprocess
import sys
from xml.sax.saxutils import escape

BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"

# The file and title of a chart, and the works that it shows, below one another.
CHARTS = [
    ("round-trip", "64-byte request and answer", ["round-trip"]),
    ("in-flight", "64-byte requests, 32 in flight", ["in-flight-32"]),
    ("tasks", "10,000 tasks for 8 workers", ["tasks"]),
    ("one-way", "64 bytes one way", ["one-way"]),
    ("lone", "64 bytes one way, alone: the sending call", ["lone"]),
    ("large", "Large messages one way", ["one-way-1m", "one-way-16m"]),
    ("fan-in", "Clients of one service", ["fan-in-1", "fan-in-4", "fan-in-16", "fan-in-64", "fan-in-1000"]),
    ("connect", "Connect, request, answer, close", ["connect"]),
    ("spawn", "Start a child and get its first answer", ["spawn-1m", "spawn-1g"]),
    ("run-tasks", "Lines of stdin as tasks", ["run-tasks"]),
    ("idle", "Heap of an idle client, in the server", ["idle"]),
    ("instructions", "Instructions of a request and its answer", ["instructions/client", "instructions/server"]),
]
FILES = ["small", "table", "deep", "escapes", "doubles", "text"]
for codec in ("php", "json", "msgpack"):
    for verb in ("decode", "encode"):
        CHARTS.append((f"{codec}-{verb}", f"Codec {codec}: {verb}", [f"{codec}-{verb}-{file}" for file in FILES]))

PLACEMENTS = {"one": "one CPU", "two": "two CPUs", "any": "not pinned"}
LABEL, BAR, VALUE, GAP, ROW, HEAD, TOP, MARGIN = 118, 190, 92, 24, 19, 30, 52, 12
LIBRARIES = ["libnng1", "libnanomsg5", "libzmq5", "libqb100", "libsystemd0", "libjansson4", "libmsgpackc2", "php8.2-cli", "php-igbinary",
             "php-msgpack", "parallel", "valgrind"]

# The colours are those of a light page, and of a dark one where the reader prefers that.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .note, .panel { fill: #59636e; }
  .panel { font-weight: 600; }
  .ferry { fill: #0a66c2; }
  .floor { fill: #8a939d; }
  .other { fill: #c77700; }
  text.ferry { font-weight: 600; }
  text.floor, text.other { fill: #1f2328; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note, .panel { fill: #9aa4af; }
    .ferry { fill: #58a6ff; }
    .floor { fill: #767f89; }
    .other { fill: #e3993a; }
    text.floor, text.other { fill: #e6edf3; }
  }
"""


def show(value):
    """Three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def class_of(subject):
    return "ferry" if subject.startswith("ferry") else "floor" if subject.startswith("floor") else "other"


def draw_bar(x, y, figure, largest):
    kind, width = class_of(figure["subject"]), max(1.0, BAR * figure["value"] / largest)
    text = show(figure["value"]) + (f" ({figure['floor_ratio']:.2f})" if figure["floor_ratio"] and kind != "floor" else "")
    return [f'<text class="{kind}" x="{x + LABEL - 6}" y="{y + 13}" text-anchor="end">{escape(figure["subject"])}</text>',
            f'<rect class="{kind}" x="{x + LABEL}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" rx="2"/>',
            f'<text x="{x + LABEL + width + 5:.1f}" y="{y + 13}">{text}</text>']


def draw_panel(x, y, title, figures):
    largest = max(figure["value"] for figure in figures)
    lines = [f'<text class="panel" x="{x + LABEL}" y="{y + 18}">{escape(title)}</text>']
    for i, figure in enumerate(figures):
        lines += draw_bar(x, y + HEAD + i * ROW, figure, largest)
    return lines


def panels_of(works, figures):
    """The rows of panels: one for each work, with one for each placement."""
    rows = []
    for work in works:
        here = [figure for figure in figures if figure["work"] == work]
        placements = [place for place in ("one", "two") if any(figure["placement"] == place for figure in here)] or ["any"]
        row = [(f"{work}, {PLACEMENTS[place]}: {unit_of(here)}", [figure for figure in here if figure["placement"] == place])
               for place in placements]
        rows.append([panel for panel in row if panel[1]])
    return [row for row in rows if row]


def unit_of(figures):
    return {"us": "µs"}.get(figures[0]["unit"], figures[0]["unit"]) if figures else ""


def draw_chart(title, works, figures):
    """The chart as text, or None if nothing of it was measured."""
    rows = panels_of(works, figures)
    if not rows:
        return None
    is_rate = any(figure["unit"].endswith("/s") for row in rows for _, panel in row for figure in panel)
    has_ratio = any(figure["floor_ratio"] and class_of(figure["subject"]) != "floor" for row in rows for _, panel in row for figure in panel)
    note = ("Longer" if is_rate else "Shorter") + " is better." + (" In parentheses: the ratio to the floor." if has_ratio else "")
    width = 2 * MARGIN + max(len(row) for row in rows) * (LABEL + BAR + VALUE + GAP) - GAP
    lines, y = [], TOP
    for row in rows:
        for column, (name, panel) in enumerate(row):
            lines += draw_panel(MARGIN + column * (LABEL + BAR + VALUE + GAP), y, name, panel)
        y += HEAD + ROW * max(len(panel) for _, panel in row) + 10
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + MARGIN}" viewBox="0 0 {width} {y + MARGIN}" role="img">\n'
            f'<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
            f'<text class="title" x="{MARGIN}" y="22">{escape(title)}</text>\n<text class="note" x="{MARGIN}" y="41">{note}</text>\n')
    return head + "\n".join(lines) + "\n</svg>\n"


def first_line(command):
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return lines[0] if lines else ""
    except (OSError, subprocess.CalledProcessError):
        return ""


def describe_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        model = re.search(r"^model name\s*:\s*(.*)$", stream.read(), re.M)
    versions = [f"{name} {version}" for name in LIBRARIES
                if (version := first_line(["dpkg-query", "-W", "-f", "${Version}\n", name]))]
    lines = [f"* {len(os.sched_getaffinity(0))} CPUs ({model.group(1) if model else platform.machine()}), {platform.system()} {platform.release()}, "
             f"{first_line(['cc', '--version'])}"]
    if versions:
        lines.append("* " + ", ".join(versions))
    return lines


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: page.py FIGURES TABLES DOCS")
    figures_path, tables_path, docs = sys.argv[1:]
    page_path, charts = os.path.join(docs, "benchmarks.md"), os.path.join(docs, "charts")
    with open(figures_path, encoding="utf-8") as stream:
        figures = json.load(stream)
    with open(tables_path, encoding="utf-8") as stream:
        tables = "\n".join(line.rstrip() for line in stream.read().strip().splitlines())
    with open(page_path, encoding="utf-8") as stream:
        page = stream.read()
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        sys.exit(f"{page_path}: the marks of the figures are not there")
    os.makedirs(charts, exist_ok=True)
    parts = ["Made by `make bench-page`.\n", "\n".join(describe_machine()) + "\n"]
    for name, title, works in CHARTS:
        chart = draw_chart(title, works, figures)
        path = os.path.join(charts, name + ".svg")
        if chart is None:
            if os.path.exists(path):
                os.remove(path)
            continue
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(chart)
        parts.append(f"![{title}](charts/{name}.svg)\n")
    parts.append(f"```\n{tables}\n```\n")
    with open(page_path, "w", encoding="utf-8") as stream:
        stream.write(page[:page.index(BEGIN) + len(BEGIN)] + "\n" + "\n".join(parts) + "\n" + page[page.index(END):])


main()
