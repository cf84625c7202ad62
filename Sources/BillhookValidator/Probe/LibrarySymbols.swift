internal import Foundation

/// What the dynamic section of a 64-bit ELF file says, read without loading it.
struct LibrarySymbols {
  /// Libraries that it needs, as "libm.so.6".
  private(set) var needed: [String] = []
  /// Global functions and data that it defines.
  private(set) var exported: [String] = []

  init(path: String) throws {
    let file: Data
    do {
      file = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    } catch {
      throw NotApplicable("\(error.localizedDescription)")
    }
    func number<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) throws -> Int {
      guard offset >= 0, offset + MemoryLayout<T>.size <= file.count else {
        throw NotApplicable("the file ends before byte \(offset)")
      }
      let value = file.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
      return Int(truncatingIfNeeded: T(littleEndian: value))
    }
    func text(_ offset: Int) -> String {
      guard offset >= 0, offset < file.count else { return "" }
      return String(decoding: file[offset...].prefix { $0 != 0 }, as: UTF8.self)
    }
    // Section headers: type 6 is the dynamic section, type 11 the dynamic symbols; `link` names the
    // section of their texts.
    let table = try number(UInt64.self, 40)
    let size = try number(UInt16.self, 58)
    for section in 0..<(try number(UInt16.self, 60)) {
      let header = table + section * size
      let type = try number(UInt32.self, header + 4)
      guard type == 6 || type == 11 else { continue }
      let offset = try number(UInt64.self, header + 24)
      let bytes = try number(UInt64.self, header + 32)
      let link = try number(UInt32.self, header + 40)
      let texts = try number(UInt64.self, table + link * size + 24)
      if type == 6 {
        for entry in stride(from: offset, to: offset + bytes, by: 16)
        where try number(UInt64.self, entry) == 1 {
          needed.append(text(texts + (try number(UInt64.self, entry + 8))))
        }
      } else {
        for entry in stride(from: offset + 24, to: offset + bytes, by: 24) {
          let binding = try number(UInt8.self, entry + 4) >> 4
          let visibility = try number(UInt8.self, entry + 5) & 3
          let isDefined = try number(UInt16.self, entry + 6) != 0
          let isGlobal = binding == 1 || binding == 2
          guard isDefined, isGlobal, visibility == 0 || visibility == 3 else { continue }
          exported.append(text(texts + (try number(UInt32.self, entry))))
        }
      }
    }
    exported.sort()
  }
}
