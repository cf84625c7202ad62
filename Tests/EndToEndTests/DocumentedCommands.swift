import BillhookTestSupport
import Foundation
import Testing

/// The commands of a document, to be run in order on few samples.
///
/// Every block marked `console` is run: each line behind `$ ` with the lines that continue it. A
/// block of C is written to the file that its first line names, as in `// far.c: …`, before the
/// commands behind it.
struct DocumentedCommands {
  private let text: String

  /// - Parameter path: Below the package's folder.
  init(_ path: String) throws {
    text = try String(
      contentsOf: PackageFolder.url.appendingPathComponent(path), encoding: .utf8)
  }

  var lineCount: Int { text.split(separator: "\n", omittingEmptySubsequences: false).count }

  func contains(_ words: String) -> Bool { text.contains(words) }

  /// Runs everything; a command that fails is an issue of the test.
  ///
  /// - Returns: The number of commands.
  func run(in folder: TemporaryFolder) throws -> Int {
    for name in ["PluginSDK", "Plugins", "docs"] {
      try FileManager.default.createSymbolicLink(
        atPath: folder(name), withDestinationPath: PackageFolder.url.path + "/" + name)
    }
    var commands = 0
    for block in blocks() {
      if block.kind == "c", let name = block.lines.first?.split(separator: " ").dropFirst().first {
        _ = folder.file(
          name.trimmingCharacters(in: [":"]), Array(block.lines.joined(separator: "\n").utf8) + [10]
        )
      }
      guard block.kind == "console" else { continue }
      for command in shellCommands(block.lines) {
        let result = try BillhookProcess(
          URL(fileURLWithPath: "/bin/sh"), ["-ec", onFewSamples(command)], folder: folder.path)
        #expect(result.code == 0, "\(command)\n\(result.output)\(result.errors)")
        commands += 1
      }
    }
    return commands
  }

  private func blocks() -> [(kind: String, lines: [String])] {
    var blocks: [(kind: String, lines: [String])] = []
    var isInside = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        if !isInside { blocks.append((String(line.dropFirst(3)), [])) }
        isInside.toggle()
      } else if isInside {
        blocks[blocks.count - 1].lines.append(String(line))
      }
    }
    return blocks
  }

  private func shellCommands(_ lines: [String]) -> [String] {
    var commands: [String] = []
    var continues = false
    for line in lines {
      if line.hasPrefix("$ ") {
        commands.append(String(line.dropFirst(2)))
      } else if continues {
        commands[commands.count - 1] += "\n" + line
      }
      continues = (line.hasPrefix("$ ") || continues) && line.hasSuffix("\\")
    }
    return commands
  }

  private func onFewSamples(_ command: String) -> String {
    var command = command
    for (pattern, replacement) in [
      (#"fashion-mnist:train(,limit=\d+)?"#, "fashion-mnist:train,limit=600"),
      (#"fashion-mnist:test"#, "fashion-mnist:test,limit=200"),
      (#"--epochs \d+"#, "--epochs 1"),
    ] {
      command = command.replacingOccurrences(
        of: pattern, with: replacement, options: .regularExpression)
    }
    return command
  }
}
