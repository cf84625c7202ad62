import BillhookCompression
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@testable import BillhookPipeline

@Suite struct CheckpointFileTests {
  private let checkpoint = TrainingCheckpoint(
    epochs: [TrainRecord.Epoch(epoch: 1, steps: 3, meanLoss: 0.5, learningRate: 0.1)],
    state: TrainingState(
      steps: 3, runs: 4,
      tensors: ["parameter/w": Tensor([Float(1), 2]), "first/w": Tensor([Float(3)])]))

  @Test func `what was kept comes back, and goes when the stage is done`() throws {
    let folder = TemporaryFolder()
    let file = CheckpointFile(path: folder("training.safetensors"))
    #expect(file.latest() == nil)
    try file.keep(checkpoint)
    let latest = try #require(file.latest())
    #expect(latest.epochs == checkpoint.epochs)
    #expect(latest.state.steps == 3 && latest.state.runs == 4)
    #expect(latest.state.tensors["parameter/w"]?.floats() == [1, 2])
    #expect(latest.state.tensors["first/w"]?.floats() == [3])
    file.remove()
    #expect(file.latest() == nil)
  }

  @Test func `a damaged file is as good as none`() throws {
    let folder = TemporaryFolder()
    let file = CheckpointFile(path: folder("training.safetensors"))
    try file.keep(checkpoint)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file.path))
    for count in [0, 7, bytes.count / 2, bytes.count - 1] {
      try bytes.prefix(count).write(to: URL(fileURLWithPath: file.path))
      #expect(file.latest() == nil, "cut to \(count) bytes")
    }
  }
}
