#!/usr/bin/env python3
"""Writes the structs and constants of the C headers as Rust, to standard output.

    PluginSDK/rust/generate.py >PluginSDK/rust/raw.rs

Understands what these headers use and nothing more: typedefs of structs, one declaration a
statement, function pointers, one anonymous union, and constants by #define.
"""
import pathlib
import re
import sys

INCLUDE = pathlib.Path(__file__).parent.parent / "include" / "billhook"
HEADERS = ["types", "host", "layer", "scorer", "loss", "quantizer", "kernels", "module"]
SCALARS = {
    "void": "c_void", "char": "c_char", "float": "f32", "double": "f64", "bh_status": "Status",
    "int8_t": "i8", "uint8_t": "u8", "int16_t": "i16", "uint16_t": "u16", "int32_t": "i32",
    "uint32_t": "u32", "int64_t": "i64", "uint64_t": "u64",
}
KEYWORDS = {"type": "kind", "ref": "reference", "in": "input"}


def rust_type(text):
    """`const float *const *` as `*const *const f32`: what * stands behind const is constant."""
    tokens = re.findall(r"\w+|\*", text)
    tokens = [t for t in tokens if t != "struct"]
    base = next(t for t in tokens if t not in ("const", "*"))
    result = SCALARS.get(base, base)
    before, _, behind = " ".join(tokens).partition(base)
    is_const = "const" in before or behind.strip().startswith("const")
    for star in re.findall(r"\*(?: const)?", behind):
        result = f"*{'const' if is_const else 'mut'} {result}"
        is_const = star.endswith("const")
    return result


def declaration(text):
    """The name and the type of a field, parameter or pointer to function."""
    function = re.fullmatch(r"(.*?)\(\*(\w+)\)\s*\((.*)\)", text, re.S)
    if function:
        arguments = [] if function[3].strip() == "void" else function[3].split(",")
        types = ", ".join(declaration(a.strip())[1] for a in arguments)
        returned = rust_type(function[1])
        arrow = "" if returned == "c_void" else f" -> {returned}"
        return function[2], f"unsafe extern \"C\" fn({types}){arrow}"
    plain = re.fullmatch(r"(.*?)(\w+)((?:\[\d+\])?)", text, re.S)
    kind = rust_type(plain[1])
    if plain[3]:
        kind = f"[{kind}; {plain[3][1:-1]}]"
    return KEYWORDS.get(plain[2], plain[2]), kind


def fields(body, owner, is_made_by_plugin, out):
    body = re.sub(r"union\s*\{(.*?)\}\s*(\w+);", lambda m: union(m, owner, out), body, flags=re.S)
    for statement in filter(None, (s.strip() for s in body.split(";"))):
        name, kind = declaration(" ".join(statement.split()))
        # The host's functions are always there; a plugin's may be missing.
        if kind.startswith("unsafe") and is_made_by_plugin:
            kind = f"Option<{kind}>"
        yield f"    pub {name}: {kind},"


def union(match, owner, out):
    lines = list(fields(match[1], owner, False, out))
    out.append("#[repr(C)]\n#[derive(Clone, Copy)]\npub union %s_%s {\n%s\n}\n"
               % (owner, match[2], "\n".join(lines)))
    return f"{owner}_{match[2]} {match[2]};"


def main():
    out = ["// Made from the C headers by generate.py; change them, not this.\n"
           "\nuse std::os::raw::{c_char, c_void};\n\n"
           "pub type Status = i32;\n"]
    constants = []
    for header in HEADERS:
        text = (INCLUDE / f"{header}.h").read_text()
        for name, value in re.findall(r"^#define BH_(\w+) (\S.*?)\s*(?://.*)?$", text, re.M):
            text_value = re.sub(r"/\*.*?\*/", "", value).strip()
            if text_value.startswith('"'):
                constants.append(f"pub const {name}: &str = {text_value};")
                continue
            number = re.fullmatch(r"\(?(?:\((\w+)\))?\s*(-?(?:0x)?[0-9A-Fa-f]+)\)?", text_value)
            if number:
                kind = SCALARS.get(number[1] or "", "i32" if number[2].startswith("-") else "u32")
                constants.append(f"pub const {name}: {kind} = {number[2]};")
        text = re.sub(r"//.*|^\s*#.*(?:\\\n.*)*", "", text, flags=re.M)
        for task in re.findall(r"typedef (\w+ \(\*\w+\)\([^;]*\));", text):
            name, kind = declaration(" ".join(task.split()))
            out.append(f"pub type {name} = {kind};\n")
        for name, body in re.findall(r"struct (bh_\w+) \{\n(.*?)\n\}", text, re.S):
            is_plugins = name in ("bh_plugin", "bh_module", "bh_scorer", "bh_loss",
                                  "bh_quantizer", "bh_quant_export")
            lines = list(fields(body, name, is_plugins, out))
            out.append(f"#[repr(C)]\n#[derive(Clone, Copy)]\npub struct {name} {{\n"
                       + "\n".join(lines) + "\n}\n")
    # Whole numbers without a cast are what their fields are: 32 bits, or 16 in bh_module.
    sys.stdout.write("\n".join([out[0], "\n".join(constants) + "\n"] + out[1:]))


main()
