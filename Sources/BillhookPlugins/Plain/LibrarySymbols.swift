internal import BillhookTensor
internal import CLibDW
internal import Glibc

/// The functions that a library exports, read from the file.
struct LibrarySymbols {
  private let functions: Set<String>
  private let others: Set<String>

  init(path: String) throws(PluginError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .cannotRead(path: path, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    _ = elf_version(UInt32(EV_CURRENT))
    guard let elf = elf_begin(descriptor, ELF_C_READ, nil) else {
      throw .notALibrary(path: path, reason: String(cString: elf_errmsg(-1)))
    }
    defer { elf_end(elf) }
    var functions: Set<String> = []
    var others: Set<String> = []
    var section: OpaquePointer?
    while let next = elf_nextscn(elf, section) {
      section = next
      var header = GElf_Shdr()
      guard gelf_getshdr(next, &header) != nil, header.sh_type == UInt32(SHT_DYNSYM),
        header.sh_entsize > 0, let data = elf_getdata(next, nil)
      else { continue }
      let count = min(Int(header.sh_size / header.sh_entsize), 10_000_000)
      for index in 0..<count {
        var symbol = GElf_Sym()
        guard gelf_getsym(data, Int32(index), &symbol) != nil,
          let text = elf_strptr(elf, Int(header.sh_link), Int(symbol.st_name))
        else { continue }
        let name = String(cString: text)
        // STT_FUNC and STT_GNU_IFUNC, defined here.
        let type = symbol.st_info & 15
        if (type == 2 || type == 10) && symbol.st_shndx != 0 {
          functions.insert(name)
        } else if !name.isEmpty {
          others.insert(name)
        }
      }
    }
    self.functions = functions
    self.others = others
  }

  /// - Throws: ``PluginError/missingFunction(library:function:found:nearest:)``.
  func require(_ name: String, library: String) throws(PluginError) {
    guard !functions.contains(name) else { return }
    throw .missingFunction(
      library: library, function: name,
      found: others.contains(name)
        ? "it is data, or comes from another library"
        : "it exports \(functions.count) functions, and none of that name",
      nearest: nearestNames(to: name, in: functions.sorted()))
  }
}
