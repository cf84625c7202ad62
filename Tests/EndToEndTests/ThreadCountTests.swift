import BillhookTestSupport
import Foundation
import Testing

/// The same bytes, for any number of threads.
@Suite(
  .serialized, .enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct ThreadCountTests {
  /// The bytes that a command writes to out.onnx with 1 and with 3 threads.
  private func outputs(_ command: String, _ inputs: [String]) throws -> [[UInt8]] {
    try [1, 3].map { threads in
      let folder = TemporaryFolder()
      for name in inputs { try TrainedNetworks.copy(name, to: folder) }
      let result = try BillhookProcess(
        command.split(separator: " ").map(String.init)
          + ["-o", "out.onnx", "--threads", "\(threads)", "--quiet"],
        folder: folder.path)
      #expect(result.code == 0, "\(result.errors)")
      return folder.bytes("out.onnx")
    }
  }

  @Test(arguments: [
    "train new.onnx --data fashion-mnist:train,limit=640 --epochs 1 --seed 3 --shift 2 --flip",
    "distill pruned.onnx --teacher teacher.onnx --data fashion-mnist:train,limit=640 --epochs 1",
    "prune teacher.onnx --granularity element --ratio 0.7",
    "prune teacher.onnx --granularity channel --ratio 0.4 --scope global --data fashion-mnist:train,limit=300",
    "prune teacher.onnx --granularity element --scope layer --ratio 0.6 --scorer activation.wanda --data fashion-mnist:train,limit=300",
    "quantize student.onnx --data fashion-mnist:train,limit=300",
    "quantize student.onnx --calibration percentile --data fashion-mnist:train,limit=300",
    "quantize student.onnx --mode weight-only",
  ])
  func `the output does not depend on the number of threads`(command: String) throws {
    let inputs = ["new.onnx", "teacher.onnx", "pruned.onnx", "student.onnx"]
      .filter { command.contains($0) }
    let bytes = try outputs(command, inputs)
    #expect(!bytes[0].isEmpty)
    #expect(bytes[0] == bytes[1])
  }
}
