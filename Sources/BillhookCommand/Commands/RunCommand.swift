internal import ArgumentParser
internal import Billhook

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Do everything that a recipe says.",
    discussion: """
      billhook run demo.yaml
      billhook run demo.yaml --set output=build/try2 --set stages.1.prune.ratio=0.7

      The whole recipe is checked before any work starts. Finished stages are kept in .billhook in \
      the output folder, so an interrupted or changed recipe continues where it can.
      """)

  @Argument(help: .init("The recipe, a YAML file.", valueName: "recipe.yaml"))
  var recipe: String
  @Option(
    help: .init(
      "Change a setting; stages by number from 0. May be repeated.", valueName: "key=value"),
    transform: { try RecipeOverride($0) })
  var set: [RecipeOverride] = []
  @Flag(
    name: .customLong("resume"), inversion: .prefixedNo,
    help: "Keep the results of finished stages.")
  var resume = true
  @Flag(help: "Do all stages again; the same as --no-resume.")
  var fresh = false
  @Flag(help: "Only check the recipe.")
  var check = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let session = global.start()
    let runner = RecipeRunner(
      try RecipeFile(path: recipe, overrides: set), catalog: session.catalog(),
      options: RunOptions(fresh: fresh || !resume), progress: session.progress,
      announce: session.announce)
    if check {
      try runner.check()
      session.announce("\(recipe): the recipe can be run")
      return
    }
    let report = try runner.run()
    try session.show(report, asJSON: json.json) { report.table() }
  }
}
