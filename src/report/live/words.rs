//! What happened in a run, in a line: for files and pipes.

use serde_json::Value;

use crate::report::inspect::percent;

/// A line of the news of a run; `None` for what is of no interest by itself.
pub fn news(line: &Value) -> Option<String> {
    let number = |key: &str| line[key].as_f64();
    let step = line["step"].as_u64()?;
    let accuracy = |key: &str| Some(format!("accuracy {}", percent(number(key)?)));
    let what = match line["kind"].as_str()? {
        "begun" => {
            let device = line["device"]["adapter"].as_str().unwrap_or("?");
            let verb = if step == 0 { "begins" } else { "goes on" };
            format!("{verb}, to step {}, on {device}", line["steps"])
        }
        "stage" => format!("stage {} of {}", line["stage"], line["of"]),
        "train" => format!(
            "train       loss {:.4}  {}  learning rate {:.3e}",
            number("train_loss")?,
            accuracy("train_accuracy")?,
            number("learning_rate")?
        ),
        "evaluation" => {
            let part = line["part"].as_str().unwrap_or("?");
            let perplexity = line["language"]["perplexity"].as_f64();
            let perplexity = perplexity.map_or(String::new(), |value| format!("  perplexity {value:.3}"));
            format!("{part:<10}  loss {:.4}  {}{perplexity}", number("loss")?, accuracy("accuracy")?)
        }
        "masks" => {
            let (kept, total) = (line["kept"].as_u64()?, line["total"].as_u64()?);
            let sparsity = 1.0 - kept as f64 / total.max(1) as f64;
            format!("masks       sparsity {}  kept {kept} of {total}", percent(sparsity))
        }
        _ => return None,
    };
    Some(format!("step {step:>7}  {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_the_step_and_the_figures() {
        let update = json!({ "kind": "masks", "step": 64, "kept": 25, "total": 100 });
        assert_eq!(news(&update).unwrap(), "step      64  masks       sparsity 75.00 %  kept 25 of 100");
        let judged = json!({ "kind": "evaluation", "part": "test", "step": 9, "loss": 0.5, "accuracy": 0.25,
                             "language": { "perplexity": 1.5 } });
        assert_eq!(
            news(&judged).unwrap(),
            "step       9  test        loss 0.5000  accuracy 25.00 %  perplexity 1.500"
        );
        assert_eq!(news(&json!({ "kind": "gradients", "step": 9 })), None);
    }
}
