internal import ArgumentParser
internal import Billhook
internal import Foundation

/// The command `billhook`.
struct BillhookCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "billhook",
    abstract: "Makes trained networks small: prune, distil and quantize, and prove it still works.",
    discussion: """
      A first walk, on the Debian package dataset-fashion-mnist:

        billhook new cnn -o big.onnx
        billhook train big.onnx -o teacher.onnx --data fashion-mnist:train --epochs 2
        billhook prune teacher.onnx -o pruned.onnx --granularity channel \\
          --ratio 0.5 --data fashion-mnist:train,limit=5000
        billhook distill pruned.onnx -o student.onnx --teacher teacher.onnx \\
          --data fashion-mnist:train
        billhook quantize student.onnx -o small.onnx --data fashion-mnist:train
        billhook evaluate small.onnx --data fashion-mnist:test --against teacher.onnx

      or all of it from one file: billhook run RECIPE.yaml

      DATA is fashion-mnist:train, fashion-mnist:test, idx:FOLDER:train, idx:FOLDER:test or \
      npz:FILE, followed by options: ,limit=1000 ,channels=3 ,mean=0.5 ,std=0.5

      Exit code: 0 when all went well, 1 when something failed, 2 when the command was not \
      understood.
      """,
    version: billhookVersion,
    subcommands: [
      NewCommand.self, TrainCommand.self, EvaluateCommand.self, PruneCommand.self,
      DistillCommand.self, QuantizeCommand.self, RestoreCommand.self, RunCommand.self,
      SweepCommand.self, InferCommand.self, InspectCommand.self, BenchCommand.self,
      PluginCommand.self,
    ])

  /// Parses and runs; errors become a sentence on standard error.
  static func runToExitCode(_ arguments: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      try command.run()
      return 0
    } catch let code as ExitCode {
      // The command has said everything itself.
      return code.rawValue
    } catch {
      let code = exitCode(for: error)
      if code == .success {
        Terminal.out(fullMessage(for: error))
        return 0
      }
      if code == .validationFailure {
        if let unknown = UnknownCommand(arguments, under: Self.self) {
          Terminal.error("billhook: error: \(unknown)")
          return 2
        }
        Terminal.error(
          fullMessage(for: error).replacingOccurrences(of: "Error: ", with: "billhook: error: "))
        return 2
      }
      Terminal.error("billhook: error: \(error)")
      return 1
    }
  }
}
