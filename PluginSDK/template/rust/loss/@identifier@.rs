//! @name@: a loss. Half the squared distance of student and teacher logits.
//!
//! Source: Ba and Caruana, Do Deep Nets Really Need to be Deep?, 2014, section 2.2, arXiv:1312.6184.
use billhook::{bh_loss_io, failure, Call, Failure, Instance, Loss, Outcome, Values};

struct SquaredDistance;

impl Instance for SquaredDistance {
    fn new(_: &Values) -> Result<Self, Failure> { Ok(Self) }
}

impl Loss for SquaredDistance {
    fn compute(&self, _: Call, io: &bh_loss_io) -> Outcome {
        unsafe {
            let rows = (*io.student).sizes()[0] as usize;
            let student = (*io.student).elements::<f32>();
            let teacher = match io.teacher.as_ref() {
                Some(teacher) => teacher.elements::<f32>(),
                None => return failure(billhook::E_INVALID_ARG, "there is no teacher to compare with"),
            };
            let weights = io.sample_weight.as_ref().map(|weights| weights.elements::<f32>());
            let mut gradient = io.grad_student_out.as_ref().map(|g| g.elements_mut::<f32>());
            let classes = if rows > 0 { student.len() / rows } else { 0 };
            let (mut total, mut weight_sum) = (0.0, 0.0);
            for row in 0..rows {
                let weight = weights.map_or(1.0, |weights| weights[row] as f64);
                let mut sum = 0.0;
                for i in row * classes..(row + 1) * classes {
                    let difference = student[i] as f64 - teacher[i] as f64;
                    sum += difference * difference / 2.0;
                    if let Some(gradient) = &mut gradient {
                        gradient[i] = (weight * difference * io.grad_scale) as f32;
                    }
                }
                total += weight * sum;
                weight_sum += weight;
            }
            // Sums, not means: the host divides.
            *io.loss_sum_out = total;
            *io.weight_sum_out = weight_sum;
        }
        Ok(())
    }
}

billhook::module!(
    "org.example.@name@.module", "1.0.0", "Example", "0BSD",
    [billhook::loss::<SquaredDistance>("org.example.@name@")
        .name("@name@")
        .summary("Half the squared distance of the logits.")
        .caps(billhook::CAP_DETERMINISTIC | billhook::CAP_CONCURRENT)
        .needs(billhook::NEED_TEACHER)]
);
