internal import Foundation

/// What an ELF file says of itself, read without loading it.
public struct LibraryInspection: Sendable, Equatable {
  public var byteCount: Int
  /// Libraries that it needs (`DT_NEEDED`), as written.
  public var needed: [String]
  /// Folders that it wants searched for them (`DT_RPATH` and `DT_RUNPATH`), as written.
  public var searchPaths: [String]
  /// Names that it offers, sorted.
  public var exportedSymbols: [String]
  public var hasDebugInformation: Bool

  private static let limit = 1 << 16

  /// - Returns: Nil when the file is not a 64-bit little-endian ELF file that holds together.
  public init?(path: String) {
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    else {
      return nil
    }
    self.init(data)
  }

  init?(_ data: Data) {
    let file = ElfFile(bytes: data)
    guard let sections = file.sections() else { return nil }
    byteCount = data.count
    hasDebugInformation = sections.contains {
      $0.name == ".debug_info" || $0.name == ".zdebug_info"
    }
    needed = []
    searchPaths = []
    exportedSymbols = []
    if let dynamic = sections.first(where: { $0.type == 6 }),
      sections.indices.contains(dynamic.link)
    {
      let texts = sections[dynamic.link]
      for index in 0..<min(dynamic.size / 16, Self.limit) {
        guard let tag = file.number(dynamic.offset + 16 * index, 8),
          let value = file.number(dynamic.offset + 16 * index + 8, 8), tag != 0
        else { break }
        guard tag == 1 || tag == 15 || tag == 29 else { continue }
        guard let text = file.text(texts, value) else { return nil }
        if tag == 1 {
          needed.append(text)
        } else {
          searchPaths += text.split(separator: ":").map(String.init)
        }
      }
    }
    if let symbols = sections.first(where: { $0.type == 11 }),
      sections.indices.contains(symbols.link)
    {
      var names: Set<String> = []
      for index in 0..<min(symbols.size / 24, Self.limit) {
        let entry = symbols.offset + 24 * index
        guard let name = file.number(entry, 4), let info = file.number(entry + 4, 1),
          let section = file.number(entry + 6, 2)
        else { return nil }
        // Global or weak, and defined here.
        guard section != 0, (1...2).contains(info >> 4),
          let text = file.text(sections[symbols.link], name),
          !text.isEmpty
        else { continue }
        names.insert(text)
      }
      exportedSymbols = names.sorted()
    }
  }
}

/// Reads numbers and texts of an ELF file, never beyond its end.
private struct ElfFile {
  struct Section {
    var name = ""
    var nameOffset: Int
    var type: Int
    var offset: Int
    var size: Int
    var link: Int
  }

  let bytes: Data

  func number(_ offset: Int, _ width: Int) -> Int? {
    guard offset >= 0, offset <= bytes.count - width else { return nil }
    var value: UInt64 = 0
    for index in (0..<width).reversed() {
      value = value << 8 | UInt64(bytes[bytes.startIndex + offset + index])
    }
    return value < 1 << 62 ? Int(value) : nil
  }

  func text(_ table: Section, _ offset: Int) -> String? {
    guard offset >= 0, offset < table.size, table.offset <= bytes.count - table.size else {
      return nil
    }
    let start = bytes.startIndex + table.offset
    let part = bytes[(start + offset)..<(start + table.size)].prefix(4096)
    guard let end = part.firstIndex(of: 0) else { return nil }
    return String(decoding: part[part.startIndex..<end], as: UTF8.self)
  }

  func sections() -> [Section]? {
    guard bytes.count >= 64, bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]),
      let table = number(40, 8), let entrySize = number(58, 2), let count = number(60, 2),
      let nameIndex = number(62, 2), entrySize >= 64, count <= 4096
    else { return nil }
    var sections: [Section] = []
    for index in 0..<count {
      let entry = table + index * entrySize
      guard let name = number(entry, 4), let type = number(entry + 4, 4),
        let offset = number(entry + 24, 8), let size = number(entry + 32, 8),
        let link = number(entry + 40, 4)
      else { return nil }
      // A section of type 8 has no bytes in the file.
      guard type == 8 || (offset <= bytes.count && size <= bytes.count - offset) else { return nil }
      sections.append(
        Section(
          nameOffset: name, type: type, offset: offset, size: type == 8 ? 0 : size, link: link))
    }
    guard sections.indices.contains(nameIndex) else { return sections }
    let names = sections[nameIndex]
    for index in sections.indices {
      sections[index].name = text(names, sections[index].nameOffset) ?? ""
    }
    return sections
  }
}
