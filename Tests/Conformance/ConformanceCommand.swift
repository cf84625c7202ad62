internal import ArgumentParser
internal import Foundation

/// Runs ONNX's own test cases through Billhook's import and execution.
@main
struct ConformanceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "billhook-conformance",
    abstract: "Run ONNX's test cases through Billhook's import and execution.")

  @Option(help: "The folder that holds the folders of cases.")
  var data = ConformanceSuite.installedPath

  @Option(help: "Folders of cases, separated by commas.")
  var folders = "node"

  @Option(help: "Run only the cases whose names contain this text.")
  var filter = ""

  @Flag(help: "Print the cases that passed too.")
  var all = false

  @Option(help: "Write the table of operators between the marks in this Markdown file.")
  var table: String?

  func run() throws {
    var results: [ConformanceResult] = []
    for folder in folders.split(separator: ",").map(String.init) {
      let suite = try ConformanceSuite(data: data, folder: folder, filter: filter)
      let own = suite.run()
      print(ConformanceReport.text(own, folder: folder, listsPassed: all))
      results += own
    }
    if let table { try ConformanceReport.writeTable(results, to: table) }
    if results.contains(where: \.hasFailed) { throw ExitCode.failure }
  }
}
