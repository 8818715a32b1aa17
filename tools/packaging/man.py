#!/usr/bin/env python3
"""man.py PROGRAM > qmux-uring.8 - the man page, made of what the program says of itself: its help,
each command's help, and the rows of its options."""
import re
import subprocess
import sys


def said(program, *words):
    return subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def quoted(text):
    """As roff has it: no line begins with a control character, and a dash is a dash."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def literal(text):
    return f".nf\n{quoted(text.rstrip())}\n.fi\n"


def commands(program, text):
    names = re.findall(r"^  qmux-uring ([a-z]+)\b", text, re.M)
    for name in dict.fromkeys(names):
        title, _, rest = said(program, name, "--help").partition("\n")
        usage, _, summary = title.partition(" - ")
        yield f".SS {quoted(usage)}\n{quoted(summary)}.\n"
        if rest.strip():
            yield literal(rest.strip("\n"))


def options(reference):
    for line in reference.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("### "):
            yield f".SS {quoted(line[4:])}\n"
        elif line.startswith("| `") and len(cells) == 5:
            name, standard, values, reload, meaning = cells
            yield (f".TP\n.B {quoted(name)}\n{quoted(meaning)}\n.br\n"
                   f"{quoted(values)}" + (f"; default {quoted(standard)}" if standard else "") +
                   f"; reload: {reload}.\n")
        elif line and not line.startswith("|"):
            yield f"{quoted(line)}\n"


def main():
    program = sys.argv[1]
    text = said(program, "--help")
    version = re.search(r"qmux-uring ([0-9.]+)", said(program, "--version"))[1]
    print(f'.TH QMUX\\-URING 8 "" "qmux\\-uring {version}" "System administration"\n'
          ".SH NAME\nqmux\\-uring \\- a QUIC tunnel and a TCP and UDP relay\n.SH SYNOPSIS\n" +
          literal("\n".join(re.findall(r"^  (qmux-uring.*?)(?:  .*)?$", text, re.M))) +
          ".SH COMMANDS\n" + "".join(commands(program, text)) +
          ".SH THE FILE\nINI: sections, keys and values; comments begin with ; or #.\n" +
          "".join(options(said(program, "config", "--reference"))) +
          ".SH SIGNALS\n.TP\n.B SIGTERM, SIGINT\nDrain, then end; a second one ends at once.\n"
          ".TP\n.B SIGHUP\nReload.\n.TP\n.B SIGUSR1\nOpen the logs anew.\n"
          ".SH EXIT STATUS\n0 ended as asked, 1 failed while running, 2 wrong file or words.")


if __name__ == "__main__":
    main()
