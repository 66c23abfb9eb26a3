//! Compiles `src/js/prelude/*.js` to QuickJS bytecode and writes a table of it to `OUT_DIR`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::{Declared, WriteOptions};
use rquickjs::{CatchResultExt, Context, Ctx, Error, Module, Result, Runtime};

/// How modules of the prelude are called; nothing outside the prelude can import such a name.
const SCHEME: &str = "prelude:";

/// Writes `prelude.rs`: `MODULES`, the name and bytecode of each module.
pub(crate) fn compile() {
    let folder = Path::new(&env_var("CARGO_MANIFEST_DIR")).join("src/js/prelude");
    let out = PathBuf::from(env_var("OUT_DIR"));
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build/prelude.rs");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").file_name())
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".js"))
        .collect();
    names.sort();

    let mut table = String::from("pub(super) const MODULES: &[(&str, &[u8])] = &[\n");
    for name in &names {
        let bytecode = compile_module(&folder, name);
        let file = out.join(format!("{name}.bytecode"));
        fs::write(&file, bytecode).expect("OUT_DIR is writable");
        writeln!(table, "    ({name:?}, include_bytes!({file:?})),").expect("a String");
    }
    table.push_str("];\n");
    fs::write(out.join("prelude.rs"), table).expect("OUT_DIR is writable");
}

fn env_var(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn compile_module(folder: &Path, name: &str) -> Vec<u8> {
    let runtime = Runtime::new().expect("a QuickJS runtime");
    runtime.set_loader(Names, Sources(folder.to_owned()));
    let context = Context::full(&runtime).expect("a QuickJS context");
    context.with(|ctx| {
        let full = format!("{SCHEME}{name}");
        let options = || WriteOptions {
            strip_source: true,
            ..WriteOptions::default()
        };
        Sources(folder.to_owned())
            .load(&ctx, &full, None)
            .and_then(|module| module.write(options()))
            .catch(&ctx)
            .unwrap_or_else(|error| panic!("the prelude's {name} does not compile: {error}"))
    })
}

struct Names;

impl Resolver for Names {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        _: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        Ok(match name.strip_prefix("./") {
            Some(file) => format!("{SCHEME}{file}"),
            None => name.to_owned(),
        })
    }
}

struct Sources(PathBuf);

impl Loader for Sources {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        // Compiling does not link, so that the native module needs no exports here.
        if name == "ops" {
            return Module::declare(ctx.clone(), name, "");
        }
        let file = name.strip_prefix(SCHEME).unwrap_or(name);
        let source = fs::read_to_string(self.0.join(file))
            .map_err(|error| Error::new_loading_message(name, error.to_string()))?;
        Module::declare(ctx.clone(), name, source)
    }
}
