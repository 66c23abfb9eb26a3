//! Of documents: parsing, driven by the prelude.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{QuirksMode, TreeBuilder, TreeBuilderOpts};
use html5ever::{ParseOpts, TokenizerResult};
use rquickjs::{Array, Ctx, Result, Value};

use super::dom_sink::{Handle, Sink};
use super::{OpError, Ops};
use crate::js::realm::RealmState;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    declare_parser(ops)?;

    // What a hook of another realm of the agent gives, of the first that gives something: a node of a
    // frame's is not known in the realm of its parent.
    let realm = ops.realm();
    ops.add(
        "op_ask_realms",
        move |ctx: Ctx<'js>, hook: String, argument: Value<'js>| -> Option<Value<'js>> {
            let others = realm.event_loop().other_realms(realm.id());
            let mut answers = others
                .iter()
                .filter_map(|other| other.state().call(&ctx, &hook, (argument.clone(),)));
            answers.find(|answer| !answer.is_null() && !answer.is_undefined())
        },
    )
}

fn declare_parser<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_parser_open", move |scripting: bool| {
        realm
            .local::<Parsers>()
            .open(Parser::of_document(scripting))
    })?;

    // Adds input at the insertion point, before all that is waiting.
    let realm = ops.realm();
    ops.add(
        "op_parser_write",
        move |ctx: Ctx<'js>, id: u32, text: String| -> Result<()> {
            parser(&ctx, &realm, id)?.write(&text);
            Ok(())
        },
    )?;

    // Adds input behind what was written since the last script was met, or else where it would be.
    let realm = ops.realm();
    ops.add(
        "op_parser_append",
        move |ctx: Ctx<'js>, id: u32, text: String| -> Result<()> {
            parser(&ctx, &realm, id)?.append(&text);
            Ok(())
        },
    )?;

    // Adds input of the resource.
    let realm = ops.realm();
    ops.add(
        "op_parser_feed",
        move |ctx: Ctx<'js>, id: u32, text: String| -> Result<()> {
            parser(&ctx, &realm, id)?.feed(&text);
            Ok(())
        },
    )?;

    // Parses what there is, up to the end of a script: [operations, its number or null]. With
    // `only_written`, up to the end of what was written last.
    let realm = ops.realm();
    ops.add(
        "op_parser_run",
        move |ctx: Ctx<'js>, id: u32, only_written: bool| -> Result<Array<'js>> {
            let parser = parser(&ctx, &realm, id)?;
            let script = parser.run(only_written);
            parser.result(&ctx, script)
        },
    )?;

    // The end of the resource: the last operations.
    let realm = ops.realm();
    ops.add(
        "op_parser_end",
        move |ctx: Ctx<'js>, id: u32| -> Result<Array<'js>> {
            let parser = parser(&ctx, &realm, id)?;
            realm.local::<Parsers>().close(id);
            parser.tokenizer.end();
            parser.tokenizer.sink.sink.take(&ctx)
        },
    )?;

    let realm = ops.realm();
    ops.add("op_parser_abort", move |id: u32| {
        realm.local::<Parsers>().close(id);
    })?;

    // The HTML fragment parsing algorithm, in one go. Number 1 is the context, unless that is a
    // template: then 1 is its contents and 2 the context. The form, if there is one, has the next.
    ops.add(
        "op_parse_fragment",
        |ctx: Ctx<'js>,
         text: String,
         namespace: String,
         local_name: String,
         quirks: String,
         has_form: bool|
         -> Result<Array<'js>> {
            let parser = Parser::of_fragment(&namespace, &local_name, &quirks, has_form);
            parser.feed(&text);
            while parser.run(false).is_some() {}
            parser.tokenizer.end();
            parser.tokenizer.sink.sink.take(&ctx)
        },
    )
}

/// The parsers of a realm that have not come to their ends.
#[derive(Default)]
struct Parsers {
    last: Cell<u32>,
    open: RefCell<BTreeMap<u32, Rc<Parser>>>,
}

impl Parsers {
    fn open(&self, parser: Parser) -> u32 {
        self.last.set(self.last.get() + 1);
        let id = self.last.get();
        self.open.borrow_mut().insert(id, Rc::new(parser));
        id
    }

    fn close(&self, id: u32) {
        let closed = self.open.borrow_mut().remove(&id);
        drop(closed);
    }
}

fn parser(ctx: &Ctx<'_>, realm: &RealmState, id: u32) -> Result<Rc<Parser>> {
    let parser = realm.local::<Parsers>().open.borrow().get(&id).cloned();
    parser.ok_or_else(|| OpError::new("InvalidStateError", "the parser has ended").throw(ctx))
}

/// An HTML parser that stops at the end of each script.
struct Parser {
    tokenizer: Tokenizer<TreeBuilder<Rc<Handle>, Sink>>,
    /// What came from the network.
    network: BufferQueue,
    /// What `document.write()` added, innermost last.
    written: RefCell<Vec<BufferQueue>>,
}

impl Parser {
    fn of_document(scripting: bool) -> Self {
        let options = options(scripting, QuirksMode::NoQuirks);
        let builder = TreeBuilder::new(Sink::new(), options.tree_builder);
        Self::new(Tokenizer::new(builder, options.tokenizer))
    }

    fn of_fragment(namespace: &str, local_name: &str, quirks: &str, has_form: bool) -> Self {
        let quirks = match quirks {
            "quirks" => QuirksMode::Quirks,
            "limited-quirks" => QuirksMode::LimitedQuirks,
            _ => QuirksMode::NoQuirks,
        };
        let options = options(true, quirks);
        let sink = Sink::new();
        let context = sink.existing(namespace, local_name);
        let form = has_form.then(|| sink.existing("http://www.w3.org/1999/xhtml", "form"));
        let builder = TreeBuilder::new_for_fragment(sink, context, form, options.tree_builder);
        let tokenizer = TokenizerOpts {
            initial_state: Some(builder.tokenizer_state_for_context_elem(true)),
            ..options.tokenizer
        };
        Self::new(Tokenizer::new(builder, tokenizer))
    }

    fn new(tokenizer: Tokenizer<TreeBuilder<Rc<Handle>, Sink>>) -> Self {
        Self {
            tokenizer,
            network: BufferQueue::default(),
            written: RefCell::default(),
        }
    }

    fn feed(&self, text: &str) {
        self.network.push_back(StrTendril::from(text));
    }

    fn write(&self, text: &str) {
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from(text));
        self.written.borrow_mut().push(queue);
    }

    fn append(&self, text: &str) {
        match self.written.borrow().last() {
            Some(queue) => queue.push_back(StrTendril::from(text)),
            None => self.network.push_front(StrTendril::from(text)),
        }
    }

    /// Parses until a script ends, or the input does. What was written stays until it is used up, so
    /// that more can be added behind it.
    fn run(&self, only_written: bool) -> Option<Rc<Handle>> {
        let mut written = self.written.borrow_mut();
        let until = written.len().saturating_sub(1);
        loop {
            let result = match written.last() {
                Some(_) if only_written && written.len() <= until => return None,
                Some(queue) => self.tokenizer.feed(queue),
                None if only_written => return None,
                None => self.tokenizer.feed(&self.network),
            };
            match result {
                TokenizerResult::Script(script) => return Some(script),
                TokenizerResult::Done if written.pop().is_none() => return None,
                // The encoding is known before the first character is parsed.
                TokenizerResult::Done | TokenizerResult::EncodingIndicator(_) => {}
            }
        }
    }

    fn result<'js>(&self, ctx: &Ctx<'js>, script: Option<Rc<Handle>>) -> Result<Array<'js>> {
        let result = Array::new(ctx.clone())?;
        result.set(0, self.tokenizer.sink.sink.take(ctx)?)?;
        result.set(1, script.map(|script| script.id))?;
        Ok(result)
    }
}

fn options(scripting: bool, quirks_mode: QuirksMode) -> ParseOpts {
    ParseOpts {
        tree_builder: TreeBuilderOpts {
            scripting_enabled: scripting,
            quirks_mode,
            ..TreeBuilderOpts::default()
        },
        tokenizer: TokenizerOpts::default(),
    }
}
