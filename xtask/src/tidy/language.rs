//! What the Rust that the cores promise to build with does not know, and clippy does not see: let
//! chains, which are stable since 1.88.

use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprBinary};

use super::arrows::CORES;
use super::files::collect;

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for core in CORES {
        collect(&root.join("crates").join(core).join("src"), &mut files)?;
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = fs::read_to_string(file).map_err(|error| said(&error))?;
        let chains = let_chains(&text).map_err(|error| said(&error))?;
        if chains > 0 {
            let shown = file.strip_prefix(root).unwrap_or(file).display();
            wrong.push(format!(
                "{shown} has {chains} let chains, which Rust 1.85 does not know"
            ));
        }
    }
    Ok(wrong)
}

/// How many times `let` stands beside `&&`.
fn let_chains(text: &str) -> syn::Result<usize> {
    #[derive(Default)]
    struct Chains(usize);
    impl Visit<'_> for Chains {
        fn visit_expr_binary(&mut self, binary: &ExprBinary) {
            let sides = [&*binary.left, &*binary.right];
            if matches!(binary.op, BinOp::And(_))
                && sides.iter().any(|side| matches!(side, Expr::Let(_)))
            {
                self.0 += 1;
            }
            visit::visit_expr_binary(self, binary);
        }
    }
    let mut chains = Chains::default();
    chains.visit_file(&syn::parse_file(text)?);
    Ok(chains.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_let_chain_is_seen_on_either_side_and_a_let_beside_a_condition_in_it_is_none() {
        let count = |body: &str| let_chains(&format!("fn f() {{ {body} }}")).unwrap();
        assert_eq!(count("if a && let Some(b) = c {}"), 1);
        assert_eq!(count("while let Some(b) = c && d {}"), 1);
        assert_eq!(count("match a { b if c && let Some(d) = e => {} }"), 1);
        assert_eq!(
            count("if let Some(b) = (c && d) {} else if let e = f {}"),
            0
        );
    }
}
