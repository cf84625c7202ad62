import BillhookTestSupport
import Foundation
import Testing

/// Functions of libraries that know nothing of Billhook, on a real trained network.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct PlainFunctionTests {
  private let folder = TemporaryFolder()
  private let test = "fashion-mnist:test,limit=500"

  private func prune(
    _ granularity: String, _ ratio: String, _ scorer: String, _ output: String = "out.onnx"
  ) throws -> BillhookProcess {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    return try BillhookProcess(
      "prune", "teacher.onnx", "-o", output, "--granularity", granularity, "--ratio", ratio,
      "--scorer", scorer, "--test", test, "--json", "--quiet", folder: folder.path)
  }

  @Test func `fabsf of the C library prunes like the built-in magnitude`() throws {
    let function = "ffi:libm.so.6:float fabsf(float)"
    let own = try prune("element", "0.7", function)
    #expect(own.code == 0, "\(own.errors)")
    // The report says which function it was, and what is known of it.
    #expect(own.output.contains("\"ffi.libm.so.6.fabsf\""))
    #expect(own.output.contains("float fabsf(float) (declared, unverified)"))
    let builtIn = try BillhookProcess(
      "prune", "teacher.onnx", "-o", "magnitude.onnx", "--granularity", "element", "--ratio", "0.7",
      "--scorer", "magnitude", "--json", "--quiet", folder: folder.path)
    #expect(builtIn.code == 0, "\(builtIn.errors)")
    let inputs = ["out.onnx", "magnitude.onnx"]
    let accuracies = try inputs.map { name in
      let result = try BillhookProcess(
        "evaluate", name, "--data", test, "--json", "--quiet", folder: folder.path)
      #expect(result.code == 0, "\(result.errors)")
      return result.output.components(separatedBy: "\n").first { $0.contains("\"correct\"") }
    }
    #expect(accuracies[0] == accuracies[1])
  }

  @Test func `a Fortran routine chooses channels`() throws {
    let library = try compiledLibrary("Plugins/Examples/plain-fortran/channel_spread.f90")
    for (from, name) in [
      (library, "libchannel_spread.so"),
      (
        PackageFolder.url.path + "/Plugins/Examples/plain-fortran/channel_spread.bhplug.json",
        "channel_spread.bhplug.json"
      ),
    ] {
      try FileManager.default.copyItem(atPath: from, toPath: folder(name))
    }
    let result = try prune("channel", "0.5", "./channel_spread.bhplug.json")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.contains("\"org.example.channel-spread\""))
    #expect(folder.bytes("out.onnx").count * 3 < folder.bytes("teacher.onnx").count)
  }

  @Test func `a routine of OpenBLAS chooses channels, inline and by its manifest`() throws {
    let inline = try prune(
      "channel", "0.5",
      "ffi:libopenblas.so.0:float cblas_snrm2(int, const float*, int)|row.count,row.data,1",
      "inline.onnx")
    #expect(inline.code == 0, "\(inline.errors)")
    try FileManager.default.removeItem(atPath: folder("teacher.onnx"))
    let manifest = try prune(
      "channel", "0.5",
      PackageFolder.url.path + "/Plugins/Examples/plain-openblas/channel_norm.bhplug.json")
    #expect(manifest.code == 0, "\(manifest.errors)")
    #expect(manifest.output.contains("\"org.example.openblas-channel-norm\""))
    #expect(folder.bytes("out.onnx").count * 3 < folder.bytes("teacher.onnx").count)
  }

  @Test func `a wrong declaration is a sentence and no half a file`() throws {
    let result = try prune("element", "0.5", "ffi:libm.so.6:long double fabsf(float)")
    #expect(result.code != 0)
    #expect(result.errors.contains("cannot be called"))
    #expect(!FileManager.default.fileExists(atPath: folder("out.onnx")))
  }

  @Test func `the commands of the plain-function guide work`() throws {
    let text = try String(
      contentsOf: PackageFolder.url.appendingPathComponent("docs/plain-functions.md"),
      encoding: .utf8)
    try FileManager.default.createSymbolicLink(
      atPath: folder("Plugins"), withDestinationPath: PackageFolder.url.path + "/Plugins")
    var commands: [String] = []
    var isConsole = false
    for line in text.components(separatedBy: "\n") {
      if line.hasPrefix("```") { isConsole = line == "```console" }
      guard isConsole, !line.hasPrefix("```") else { continue }
      if line.hasPrefix("$ ") {
        commands.append(String(line.dropFirst(2)))
      } else if !commands.isEmpty, commands[commands.count - 1].hasSuffix("\\") {
        commands[commands.count - 1] += "\n" + line
      }
    }
    #expect(commands.count == 8)
    for command in commands {
      let result = try BillhookProcess(
        URL(fileURLWithPath: "/bin/sh"), ["-ec", command], folder: folder.path)
      #expect(result.code == 0, "\(command)\n\(result.errors)")
    }
  }
}
