import BillhookTensor
import Testing

@Suite struct TensorTests {
  @Test(arguments: [[], [0], [3, 5], [1 << 21]])
  func `every element of a tensor that nobody wrote is NaN`(shape: [Int]) {
    let floats = Tensor(unwritten: shape).floats()
    #expect(floats.count == shape.reduce(1, *))
    #expect(floats.filter { !$0.isNaN }.isEmpty)
  }
}
