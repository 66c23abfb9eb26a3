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
    let mut names = Vec::new();
    collect(&folder, "", &mut names);
    names.sort();

    let mut table = String::from("pub(super) const MODULES: &[(&str, &[u8])] = &[\n");
    for name in &names {
        let bytecode = compile_module(&folder, name);
        let file = out.join(format!("{}.bytecode", name.replace('/', "-")));
        fs::write(&file, bytecode).expect("OUT_DIR is writable");
        writeln!(table, "    ({name:?}, include_bytes!({file:?})),").expect("a String");
    }
    table.push_str("];\n");
    fs::write(out.join("prelude.rs"), table).expect("OUT_DIR is writable");
}

/// The modules in a folder and in those below it, by their paths from the prelude's folder.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, &format!("{prefix}{name}/"), names);
        } else if name.ends_with(".js") {
            names.push(format!("{prefix}{name}"));
        }
    }
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
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let base = base.strip_prefix(SCHEME).unwrap_or_default();
        Ok(relative(base, name).map_or_else(|| name.to_owned(), |file| format!("{SCHEME}{file}")))
    }
}

/// The path that `name`, which begins with `./` or `../`, has seen from the module `base`.
fn relative(base: &str, name: &str) -> Option<String> {
    let mut folders: Vec<&str> = base.split('/').collect();
    folders.pop();
    let mut rest = name
        .strip_prefix("./")
        .or_else(|| name.starts_with("../").then_some(name))?;
    while let Some(above) = rest.strip_prefix("../") {
        folders.pop();
        rest = above;
    }
    folders.push(rest);
    Some(folders.join("/"))
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
