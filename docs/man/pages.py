#!/usr/bin/env python3
"""Turn Doxygen's XML of the public headers into man pages of section 3.

pages.py XML OUTPUT VERSION DATE

There is a page for each function, each struct of options, and each header.
"""
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path

WIDTH = 78      # of a prototype


def quote(text):
    """Text of a line, in which roff finds nothing of its own."""
    return text.replace('\\', '\\e').replace('-', '\\-').replace("'", '\\(aq').replace('^', '\\(ha').replace('~', '\\(ti')


def prose(text):
    """The same for a sentence, in which a hyphen stays a hyphen, except before an errno or a number."""
    text = text.replace('\\', '\\e').replace("'", '\\(aq').replace('^', '\\(ha').replace('~', '\\(ti')
    return re.sub(r'(?<![\w)])-(?=[A-Z0-9])', r'\\-', text)


def plain(node):
    """The text below a node, on one line."""
    return ' '.join(''.join(node.itertext()).split()) if node is not None else ''


class Writer:
    """Lines of a page. Sentences are gathered until a paragraph ends."""

    def __init__(self):
        self.lines = []
        self.text = ''
        self.is_first = True    # nothing stands in this section or item yet
        self.paragraph = '.PP'  # what begins a paragraph here
        self.references = set()

    def macro(self, line):
        self.flush()
        self.lines.append(line)

    def section(self, name):
        self.macro(f'.SH {name}')
        self.is_first = True
        self.paragraph = '.PP'

    def gap(self):
        """Begin a paragraph."""
        self.flush()
        if not self.is_first:
            self.lines.append(self.paragraph)
        self.is_first = False

    def item(self, head):
        self.macro('.TP')
        self.lines.append(head)
        self.is_first = True
        self.paragraph = '.IP'

    def end_items(self):
        self.macro('.PP')
        self.is_first = True
        self.paragraph = '.PP'

    def flush(self):
        text = ' '.join(self.text.split())
        self.text = ''
        # No sentence begins within a line, as roff wants it; none is broken, either.
        for line in re.split(r'(?<=[.:;])\s+(?=[A-Z(\\])', text):
            for part in textwrap.wrap(line, 79, break_long_words=False, break_on_hyphens=False):
                self.lines.append('\\&' + part if part[0] in ".'" else part)

    def add(self, text):
        self.text += text

    def end_sentence(self, first):
        """Make a sentence of the phrase that begins with a line."""
        self.flush()
        self.lines[first] = self.lines[first][0].upper() + self.lines[first][1:]
        if not self.lines[-1].endswith(('.', '"')):
            self.lines[-1] += '.'

    # What Doxygen has in a paragraph -------------------------------------------------------------------

    def inline(self, node):
        """The text, fonts and names in a paragraph; blocks among them are written where they stand."""
        self.add(prose(node.text or ''))
        for child in node:
            self.child(child)
            self.add(prose(child.tail or ''))

    def child(self, node):
        kind = node.tag
        if kind in ('computeroutput', 'bold'):
            self.remember(plain(node))
            self.add('\\fB' + quote(plain(node)) + '\\fP')
        elif kind == 'emphasis':
            self.add('\\fI' + quote(plain(node)) + '\\fP')
        elif kind == 'ref':
            self.reference(node)
        elif kind in ('ndash', 'mdash'):
            self.add(' \\(en ')
        elif kind == 'nonbreakablespace':
            self.add('\\~')
        elif kind in ('linebreak', 'sp'):
            self.add(' ')
        elif kind in ('verbatim', 'preformatted', 'programlisting'):
            self.verbatim(node)
        elif kind in ('itemizedlist', 'orderedlist'):
            self.list(node)
        elif kind == 'table':
            self.table(node)
        elif kind in ('parameterlist', 'simplesect'):
            pass                # these have sections of their own
        elif kind == 'ulink':
            self.add(prose(plain(node)) + ' (' + prose(node.get('url')) + ')')
        elif kind in ('anchor', 'heading'):
            self.add('\\fB' + prose(plain(node)) + '\\fP')
        else:
            raise SystemExit(f'pages.py: what is <{kind}>?')

    def remember(self, text):
        for name in re.findall(r'\bferry_[a-z_]+(?=\()', text):
            self.references.add(name)

    def reference(self, node):
        text = plain(node)
        name = text.removesuffix('()')
        if text.endswith('()') or (name.startswith('ferry_') and f'{name}()' in text):
            self.references.add(name)
            self.add(f'\\fB{name}\\fP(3)')
        elif re.fullmatch(r'[a-z]+\.h', text):
            self.references.add(f'ferry_{text}')
            self.add(f'\\fBferry_{text}\\fP(3)')
        else:
            self.add('\\fB' + quote(text) + '\\fP')

    def code_text(self, node):
        if node.tag != 'programlisting':
            return ''.join(node.itertext())
        lines = []
        for line in node.iter('codeline'):
            text = ''
            for part in line.iter():
                text += ' ' if part.tag == 'sp' else part.text or ''
                text += part.tail or '' if part.tag != 'codeline' else ''
            lines.append(text)
        return '\n'.join(lines)

    def verbatim(self, node):
        text = textwrap.dedent(self.code_text(node).expandtabs(8)).strip('\n')
        self.gap()
        self.lines += ['.nf', '.in +4']
        for line in text.split('\n'):
            line = quote(line.rstrip())
            self.lines.append('\\&' + line if not line or line[0] in ".'" else line)
        self.lines += ['.in -4', '.fi', self.paragraph]
        self.is_first = True

    def list(self, node):
        self.flush()
        for number, item in enumerate(node.findall('listitem'), 1):
            self.lines.append('.IP ' + ('\\(bu 3' if node.tag == 'itemizedlist' else f'{number}. 4'))
            self.is_first = True
            self.blocks(item)
        self.lines.append('.PP')
        self.is_first = True

    def table(self, node):
        """A table: each row is an item, headed by its first cell. It fits any terminal."""
        rows = [row.findall('entry') for row in node.findall('row')]
        heads = [plain(cell) for cell in rows[0]] if rows[0][0].get('thead') == 'yes' else None
        for cells in rows[1:] if heads else rows:
            self.item('.B ' + quote(plain(cells[0])))
            for column, cell in enumerate(cells[1:], 1):
                self.add((prose(heads[column]) + ': ' if heads and len(cells) > 2 else ''))
                for para in cell.findall('para'):
                    self.inline(para)
                    self.text = self.text.rstrip() + ('; ' if column < len(cells) - 1 else '')
        self.end_items()

    def blocks(self, node):
        """The paragraphs and sections below a node."""
        if node is None:
            return
        for child in node:
            if child.tag == 'para':
                # A paragraph of blocks only has no text of its own.
                if any(part.tag not in ('parameterlist', 'simplesect') for part in child) or (child.text or '').strip():
                    if (child.text or '').strip() or child[0].tag not in ('verbatim', 'preformatted', 'programlisting', 'table'):
                        self.gap()
                    self.inline(child)
                    self.flush()
            elif child.tag.startswith('sect'):
                self.macro('.SS ' + quote(plain(child.find('title'))))
                self.is_first = True
                self.blocks(child)


def described(writer, member):
    brief = member.find('briefdescription')
    if plain(brief):
        writer.blocks(brief)
    writer.blocks(member.find('detaileddescription'))


def described_item(writer, member):
    """The same in an item: the short description begins its first paragraph."""
    detail = member.find('detaileddescription')
    writer.is_first = True
    for part in member.find('briefdescription'):
        writer.gap()
        writer.inline(part)
    for number, part in enumerate(detail):
        if number == 0 and writer.text:
            writer.add(' ')
        else:
            writer.gap()
        writer.inline(part)
    writer.flush()


def begin(name, brief, version, date):
    writer = Writer()
    writer.macro(f'.TH {name.upper()} 3 {date} "ferry {version}" "Library Functions"')
    writer.section('NAME')
    summary = brief.rstrip('.')
    summary = summary[:1].lower() + summary[1:] if summary[:2] != summary[:2].upper() else summary
    writer.add(f'{name} \\- {prose(summary)}')
    return writer


def first_sentence(text):
    return re.split(r'(?<=[^.])\.(?:\s|$)|:\s', text)[0]


def without_empty_paragraphs(lines):
    kept = []
    for line in lines:
        if line.startswith(('.SH', '.SS', '.TP', '.IP', '.PP')):
            while kept and kept[-1] in ('.PP', '.IP'):
                kept.pop()
        if line != '.PP' or not kept[-1].startswith(('.SH', '.SS')):
            kept.append(line)
    return kept


def finish(writer, name, others):
    writer.section('SEE ALSO')
    names = sorted((writer.references | set(others)) - {name})
    for other in names:
        writer.macro(f'.BR {other} (3),')
    writer.macro('.BR libferry (3)')
    return '\n'.join(without_empty_paragraphs(writer.lines)) + '\n'


def prototype(member):
    """The lines of a prototype, with its parameters in italics."""
    kind = ' '.join(plain(member.find('type')).split())
    kind += '' if kind.endswith('*') else ' '
    name = plain(member.find('name'))
    pieces = []
    for parameter in member.findall('param'):
        type_of = plain(parameter.find('type'))
        declared = plain(parameter.find('declname'))
        suffix = plain(parameter.find('array'))
        if type_of == 'void' or type_of == '...':
            pieces.append((type_of, '', ''))
        else:
            pieces.append((type_of + ('' if type_of.endswith('*') else ' '), declared, suffix))
    indent = len(kind) + len(name) + 1
    lines, line, length = [], [kind + name + '('], indent
    for number, (type_of, declared, suffix) in enumerate(pieces):
        end = suffix + (', ' if number < len(pieces) - 1 else ');')
        width = len(type_of + declared + end.rstrip())
        if number and length + width > WIDTH:
            line[-1] = line[-1].rstrip()
            lines.append(line)
            line, length = [' ' * min(indent, 16)], min(indent, 16)
        line[-1] += type_of
        line += [declared, end] if declared else []
        if not declared:
            line[-1] += end
        length += width + 1
    if not pieces:
        line[-1] += 'void);'
    lines.append(line)
    # The parts are bold and italic in turn.
    return ['.BI ' + ' '.join('"' + quote(part).replace('"', '\\(dq') + '"' for part in parts) for parts in lines]


def parameters(writer, member):
    """The sections about what goes in and comes out."""
    details = member.find('detaileddescription')
    entries = {'param': [], 'retval': []}
    for group in details.iter('parameterlist'):
        for item in group.findall('parameteritem'):
            names = [plain(node) for node in item.iter('parametername')]
            entries.setdefault(group.get('kind'), []).append((names, item.find('parameterdescription')))
    results = [node for node in details.iter('simplesect') if node.get('kind') == 'return']
    if entries['param']:
        writer.section('PARAMETERS')
        for names, text in entries['param']:
            writer.item('.I ' + quote(', '.join(names)))
            writer.blocks(text)
    values = [(names, text) for names, text in entries['retval'] if not names[0].startswith('-E')]
    writer.section('RETURN VALUE')
    if not results and not values:
        writer.gap()
        writer.add('None.')
    begin_of_text = len(writer.lines)
    for result in results:
        writer.blocks(result)
    if results:
        writer.end_sentence(begin_of_text)
    for names, text in values:
        writer.item('.B ' + quote(', '.join(names)))
        writer.blocks(text)
    writer.section('ERRORS')
    errors = [(names, text) for names, text in entries['retval'] if names[0].startswith('-E')]
    if not errors:
        writer.gap()
        writer.add('This function returns no errno.')
    for names, text in errors:
        writer.item('.B ' + quote(', '.join(names)))
        writer.blocks(text)
    notes = [node for node in details.iter('simplesect') if node.get('kind') == 'note']
    if notes:
        writer.section('NOTES')
        for note in notes:
            writer.blocks(note)


def function_page(member, header, version, date):
    name = plain(member.find('name'))
    brief = plain(member.find('briefdescription'))
    writer = begin(name, first_sentence(brief), version, date)
    writer.section('SYNOPSIS')
    writer.lines += ['.nf', '.B #include <ferry/ferry.h>', '.PP'] + prototype(member) + ['.fi']
    writer.section('DESCRIPTION')
    described(writer, member)
    parameters(writer, member)
    for node in member.iter('ref'):
        if node.get('kindref') == 'compound' and plain(node).endswith('_options'):
            writer.references.add(plain(node))
    return finish(writer, name, {f'ferry_{header}'})


def struct_page(compound, version, date):
    name = plain(compound.find('compoundname'))
    brief = plain(compound.find('briefdescription'))
    writer = begin(name, first_sentence(brief), version, date)
    writer.section('SYNOPSIS')
    writer.lines += ['.nf', '.B #include <ferry/ferry.h>', '.PP', f'.BI "struct {name}" ;', '.fi']
    writer.section('DESCRIPTION')
    described(writer, compound)
    writer.section('FIELDS')
    for member in compound.iter('memberdef'):
        text = plain(member.find('type')).replace('struct ', '', 0)
        arguments = plain(member.find('argsstring'))
        text += '' if text.endswith('*') else ' '
        writer.item('.B ' + quote(f'{text}{plain(member.find("name"))}{arguments}'))
        described_item(writer, member)
    header = Path(compound.find('location').get('file')).stem
    return name, finish(writer, name, {f'ferry_{header}.h'})


def header_page(compound, version, date):
    header = plain(compound.find('compoundname'))
    name = f'ferry_{header}'
    brief = plain(compound.find('briefdescription'))
    writer = begin(name, first_sentence(brief), version, date)
    writer.section('SYNOPSIS')
    writer.lines += ['.nf', f'.B #include <ferry/{header}>', '.fi']
    writer.section('DESCRIPTION')
    described(writer, compound)
    members = [member for member in compound.iter('memberdef') if member.get('static') != 'yes']
    types = [member for member in members if member.get('kind') == 'typedef' and not plain(member.find('argsstring'))]
    macros = [member for member in members if member.get('kind') == 'define' and plain(member.find('briefdescription'))]
    for title, group in (('TYPES', types), ('MACROS', macros)):
        if group:
            writer.section(title)
        for member in group:
            names = [plain(parameter.find('defname')) for parameter in member.findall('param')]
            writer.item('.B ' + quote(plain(member.find('name')) + (f'({", ".join(names)})' if names else '')))
            described_item(writer, member)
    constants = [member for member in members if member.get('kind') == 'enum']
    if constants:
        writer.section('CONSTANTS')
        for member in constants:
            writer.gap()
            writer.blocks(member.find('briefdescription'))
            writer.blocks(member.find('detaileddescription'))
            for value in member.findall('enumvalue'):
                writer.item('.B ' + quote(plain(value.find('name'))))
                described_item(writer, value)
            writer.end_items()
    callbacks = [member for member in members if member.get('kind') == 'typedef' and '(' in plain(member.find('argsstring'))]
    if callbacks:
        writer.section('CALLBACKS')
        for member in callbacks:
            writer.macro('.SS ' + quote(plain(member.find('name'))))
            writer.paragraph = '.PP'
            writer.lines += ['.nf'] + ['.B ' + quote(plain(member.find('definition')).replace('typedef ', '', 1)) + ';', '.fi']
            writer.is_first = False
            described(writer, member)
            for group in member.iter('parameterlist'):
                for item in group.findall('parameteritem'):
                    names = [plain(node) for node in item.iter('parametername')]
                    writer.item(('.I ' if group.get('kind') == 'param' else '.B ') + quote(', '.join(names)))
                    writer.blocks(item.find('parameterdescription'))
            for result in member.iter('simplesect'):
                if result.get('kind') == 'return':
                    writer.end_items()
                    writer.add('Result: ')
                    for para in result.findall('para'):
                        writer.inline(para)
            writer.flush()
    functions = [member for member in members if member.get('kind') == 'function']
    if functions:
        writer.section('FUNCTIONS')
        for member in functions:
            writer.item(f'.BR {plain(member.find("name"))} (3)')
            writer.blocks(member.find('briefdescription'))
    writer.references.clear()
    return name, finish(writer, name, set())


def main():
    source, output, version, date = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    pages, made = {}, set()
    for path in sorted(source.glob('*.xml')):
        if path.name in ('index.xml', 'Doxyfile.xml'):
            continue
        compound = ElementTree.parse(path).getroot().find('compounddef')
        if compound.get('kind') == 'struct' and plain(compound.find('briefdescription')):
            name, page = struct_page(compound, version, date)
            pages[name] = page
        elif compound.get('kind') == 'file':
            header = plain(compound.find('compoundname'))
            name, page = header_page(compound, version, date)
            pages[name] = page
            for member in compound.iter('memberdef'):
                if member.get('kind') == 'function' and member.get('static') != 'yes':
                    name = plain(member.find('name'))
                    pages[name] = function_page(member, header, version, date)
    # References to pages that do not exist would mislead.
    for name, page in pages.items():
        lines = [line for line in page.split('\n')
                 if not re.match(r'\.BR ferry_\S+ \(3\),$', line) or line.split()[1] in pages]
        (output / f'{name}.3').write_text('\n'.join(lines))
        made.add(name)
    if not made:
        raise SystemExit('pages.py: the headers have no documented function')


main()
