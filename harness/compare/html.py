"""The table as a page that stands alone: no script, nothing from elsewhere."""

from __future__ import annotations

from harness.compare.model import Table
from harness.compare.sheets import remarks, sheets

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
div { overflow-x: auto; margin-bottom: 2rem; }
table { border-collapse: collapse; border-block: 2px solid; }
caption { text-align: left; padding-bottom: .4rem; font-weight: 600; }
th, td { padding: .3rem .8rem; text-align: right; white-space: nowrap; vertical-align: top; font-weight: 400; }
tr > :first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead tr:first-child th { text-align: center; }
tbody { border-top: 1px solid; }
thead tr:first-child th:not(:empty) { box-shadow: inset 0 -1px #bbb; }
sup { line-height: 0; }
small { display: block; color: #5a5a5a; font-size: .8em; }
ul { max-width: 60rem; padding: 0; list-style: none; color: #444; }
</style>
<body>
{% for sheet in sheets %}
<div><table>
{% if sheet.title %}<caption>{{ sheet.title }}</caption>{% endif %}
<thead>
<tr><th></th>{% for heading, width in sheet.headings %}<th colspan="{{ width }}" scope="colgroup">{{ heading }}</th>{% endfor %}</tr>
<tr><th></th>{% for label in sheet.labels %}<th scope="col">{{ label }}</th>{% endfor %}</tr>
</thead>
{% for lines in (sheet.lines, sheet.below) if lines %}
<tbody>
{% for line in lines %}
<tr><th scope="row">{{ content(line.name) }}</th>
{%- for cell in line.cells %}<td>{{ content(cell) }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endfor %}
</table></div>
{% endfor %}
<ul>
{% for mark, text in remarks %}
<li>{% if mark %}<sup>{{ mark }}</sup> {% endif %}{{ text }}</li>
{% endfor %}
</ul>
</body>
</html>
"""
CONTENT = """\
{% macro content(cell) %}
{%- if cell.is_bold %}<b>{{ cell.main }}</b>{% else %}{{ cell.main }}{% endif %}
{%- if cell.marks %}<sup>{{ cell.marks | join(",") }}</sup>{% endif %}
{%- for line in cell.small %}<small>{{ line }}</small>{% endfor %}
{%- endmacro %}
"""


def html(table: Table) -> str:
    """The sheets, then footnotes and remarks; every text is escaped."""
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True).from_string(CONTENT + PAGE)
    title = table.title or "Comparison"
    return page.render(title=title, sheets=sheets(table), remarks=[*remarks(table)]) + "\n"
