internal import BillhookFormats
internal import BillhookTestSupport
internal import Foundation
internal import Testing

@Suite struct AtomicFileTests {
  private let folder = TemporaryFolder()

  @Test func `a file appears only when it is whole`() throws {
    let file = try AtomicFile(path: folder("a.txt"))
    try file.write([1, 2])
    #expect(!folder.names.contains("a.txt"))
    try file.write([3])
    #expect(file.byteCount == 3)
    try file.commit()
    #expect(folder.names == ["a.txt"])
    #expect(folder.bytes("a.txt") == [1, 2, 3])
  }

  @Test func `what was there stays when writing is given up`() throws {
    _ = folder.file("a.txt", [9])
    var file: AtomicFile? = try AtomicFile(path: folder("a.txt"))
    try file?.write([1, 2])
    file = nil
    #expect(folder.names == ["a.txt"])
    #expect(folder.bytes("a.txt") == [9])
  }

  @Test(arguments: [0, 1, 1 << 18, (1 << 18) + 1, 1_000_000])
  func `pieces of any size arrive in order`(size: Int) throws {
    let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let file = try AtomicFile(path: folder("a.bin"))
    for part in [[1], piece, [2], piece] { try file.write(part) }
    try file.commit()
    #expect(folder.bytes("a.bin") == [1] + piece + [2] + piece)
  }

  @Test func `two files of one name can be open at once; the last to finish wins`() throws {
    let first = try AtomicFile(path: folder("a.txt"))
    let second = try AtomicFile(path: folder("a.txt"))
    try first.write([1])
    try second.write([2])
    try second.commit()
    try first.commit()
    #expect(folder.names == ["a.txt"])
    #expect(folder.bytes("a.txt") == [1])
  }

  @Test func `a link is followed, and permissions are kept`() throws {
    let target = folder.file("target.txt", [9])
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: target)
    try FileManager.default.createSymbolicLink(
      atPath: folder("link.txt"), withDestinationPath: "target.txt")
    try AtomicFile.write("text", to: folder("link.txt"))
    #expect(folder.bytes("target.txt") == Array("text".utf8))
    let link = try FileManager.default.destinationOfSymbolicLink(atPath: folder("link.txt"))
    #expect(link == "target.txt")
    let attributes = try FileManager.default.attributesOfItem(atPath: target)
    #expect(attributes[.posixPermissions] as? Int == 0o640)
  }

  @Test func `a place that cannot be written is named with the reason`() {
    let advice = "Choose a folder that exists, is writable and has space."
    #expect(
      sentence { try AtomicFile.write([1], to: folder("none/a.txt")) }
        == """
        Cannot write "\(folder("none/a.txt"))": the folder "\(folder("none"))" does not exist. \
        \(advice)
        """)
    #expect(
      sentence { try AtomicFile.write([1], to: folder.path) } == """
        Cannot write "\(folder.path)": it is a folder. Give the name of a file, in it or elsewhere.
        """)
    #expect(
      sentence { try AtomicFile.write([1], to: "/dev/null") }
        == "Cannot write \"/dev/null\": it is not a regular file. \(advice)")
    #expect(
      sentence { try AtomicFile.write([1], to: "") }
        == "Cannot write \"\": the path is empty. \(advice)")
    let file = folder.file("file", [])
    #expect(
      sentence { try AtomicFile.write([1], to: file + "/a.txt") }
        == "Cannot write \"\(file)/a.txt\": \"\(file)\" is not a folder. \(advice)")
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self"), "needs /proc"))
  func `a folder that takes no files is named`() {
    #expect(
      sentence { try AtomicFile.write([1], to: "/proc/self/a.txt") }.hasPrefix(
        "Cannot write \"/proc/self/a.txt\": the folder \"/proc/self\": "))
  }
}
