# SPDX-License-Identifier: GPL-2.0
"""As much of ELF as it takes to see what kCFI made of an object file (x86-64, relocatable)."""
import struct
from collections import namedtuple
from pathlib import Path

Section = namedtuple("Section", "name type data link info")
Symbol = namedtuple("Symbol", "name type section value")
Relocation = namedtuple("Relocation", "section offset type symbol addend")

SHT_SYMTAB, SHT_RELA = 2, 4
STT_FUNC = 2
SHN_UNDEF, SHN_ABS = 0, 0xFFF1
R_X86_64_PC32, R_X86_64_PLT32 = 2, 4


def _text(table: bytes, offset: int) -> str:
    return table[offset:table.index(b"\0", offset)].decode()


class Object:
    def __init__(self, path: Path):
        self.path = path
        self._image = path.read_bytes()
        if self._image[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no ELF file of 64 bits")
        self.sections = self._read_sections()
        self.symbols = self._read_symbols()

    def _read_sections(self) -> list:
        start, = struct.unpack_from("<Q", self._image, 0x28)
        size, count, names = struct.unpack_from("<HHH", self._image, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", self._image, start + i * size) for i in range(count)]
        table = self._image[headers[names][4]:][:headers[names][5]]
        return [Section(_text(table, h[0]), h[1], self._image[h[4]:h[4] + h[5]], h[6], h[7]) for h in headers]

    def _read_symbols(self) -> list:
        table = next(section for section in self.sections if section.type == SHT_SYMTAB)
        names = self.sections[table.link].data
        return [Symbol(_text(names, name), info & 15, section, value)
                for name, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", table.data)]

    def relocations(self):
        """All of them, each with the section that it changes."""
        for section in self.sections:
            if section.type != SHT_RELA:
                continue
            for offset, info, addend in struct.iter_unpack("<QQq", section.data):
                yield Relocation(self.sections[section.info].name, offset, info & 0xFFFFFFFF,
                                 self.symbols[info >> 32], addend)

    def functions(self) -> dict:
        """(section, offset) of each function that is defined here, and its name."""
        return {(s.section, s.value): s.name for s in self.symbols
                if s.type == STT_FUNC and s.section != SHN_UNDEF and not s.name.startswith("__cfi_")}
