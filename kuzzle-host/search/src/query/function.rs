use super::{Parser, Query};
use crate::error::Result;
use crate::node::{Fields, Node};

/// A score made by functions.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionScore {
    /// What has to match.
    pub query: Box<Query>,
    /// The functions, in order.
    pub functions: Vec<ScoreFunction>,
    /// How the values of several functions are put together.
    pub score_mode: Combine,
    /// How that and the score of the query are put together.
    pub boost_mode: Combine,
    /// The greatest value that functions make.
    pub max_boost: f32,
    /// Documents with less score do not match.
    pub min_score: Option<f32>,
}

/// One function of a [`FunctionScore`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreFunction {
    /// The documents it is applied to; `None`: all.
    pub filter: Option<Query>,
    /// What it makes; `None`: 1.
    pub function: Option<Function>,
    /// Factor of it.
    pub weight: f32,
}

/// What makes a value of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// The value of a field.
    FieldValueFactor(FieldValueFactor),
    /// A number from 0 to 1, the same for the same document and seed.
    Random {
        /// `None`: another one at each moment.
        seed: Option<i64>,
    },
}

/// A value of a numeric field, times a factor, with a modifier.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldValueFactor {
    /// Path of the field.
    pub field: String,
    /// Factor before the modifier.
    pub factor: f32,
    /// What is applied to the product.
    pub modifier: Modifier,
    /// Value of documents without the field. `None`: the function makes 1 of them, where Elasticsearch refuses the
    /// search.
    pub missing: Option<f64>,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modifier {
    /// The number itself.
    None,
    /// Common logarithm.
    Log,
    /// Common logarithm of the number and 1.
    Log1p,
    /// Common logarithm of the number and 2.
    Log2p,
    /// Natural logarithm.
    Ln,
    /// Natural logarithm of the number and 1.
    Ln1p,
    /// Natural logarithm of the number and 2.
    Ln2p,
    /// Square.
    Square,
    /// Square root.
    Sqrt,
    /// 1 divided by the number.
    Reciprocal,
}

/// How numbers are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// Their product.
    Multiply,
    /// Their sum.
    Sum,
    /// Their mean, weighted when they have weights.
    Avg,
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// The first of several functions; of functions and query, that of the functions.
    First,
}

impl Modifier {
    /// The function's value.
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Modifier::None => value,
            Modifier::Log => value.log10(),
            Modifier::Log1p => (value + 1.0).log10(),
            Modifier::Log2p => (value + 2.0).log10(),
            Modifier::Ln => value.ln(),
            Modifier::Ln1p => value.ln_1p(),
            Modifier::Ln2p => (value + 2.0).ln(),
            Modifier::Square => value * value,
            Modifier::Sqrt => value.sqrt(),
            Modifier::Reciprocal => 1.0 / value,
        }
    }
}

const COMBINE: &[(&str, Combine)] = &[
    ("multiply", Combine::Multiply),
    ("sum", Combine::Sum),
    ("avg", Combine::Avg),
    ("max", Combine::Max),
    ("min", Combine::Min),
];

pub(super) fn function_score(
    parser: &mut Parser,
    fields: &mut Fields<'_>,
    depth: usize,
) -> Result<FunctionScore> {
    let query = fields.take("query");
    let filter = fields.take("filter");
    let query = parser.query_and_filter(&fields.node, query, filter, depth)?;
    let score_mode = mode(fields.take("score_mode"), &[COMBINE, &[("first", Combine::First)]].concat())?;
    let boost_mode = mode(fields.take("boost_mode"), &[COMBINE, &[("replace", Combine::First)]].concat())?;
    let max_boost = fields.take("max_boost").map_or(Ok(f32::MAX), |it| it.f32())?;
    let min_score = fields.take("min_score").map(|it| it.f32()).transpose()?;
    let functions = match fields.take("functions") {
        Some(list) => {
            let mut functions = Vec::new();
            for node in list.array("an array of functions")? {
                functions.push(score_function(parser, &node, depth)?);
            }
            if let Some(single) = function(fields)? {
                drop(single);
                return Err(fields.node.fail("a single function and `functions` exclude one another"));
            }
            functions
        }
        None => {
            let weight = weight(fields)?;
            let function = function(fields)?;
            let any = function.is_some() || weight.is_some();
            let single = ScoreFunction { filter: None, function, weight: weight.unwrap_or(1.0) };
            if any { vec![single] } else { Vec::new() }
        }
    };
    Ok(FunctionScore { query: Box::new(query), functions, score_mode, boost_mode, max_boost, min_score })
}

fn mode(node: Option<Node<'_>>, known: &[(&str, Combine)]) -> Result<Combine> {
    node.map_or(Ok(Combine::Multiply), |it| it.one_of(known))
}

fn score_function(parser: &mut Parser, node: &Node<'_>, depth: usize) -> Result<ScoreFunction> {
    let mut fields = node.fields("functions")?;
    let filter = fields.any(&["filter", "query"]).map(|it| parser.query(&it, depth + 1)).transpose()?;
    let weight = weight(&mut fields)?;
    let function = function(&mut fields)?;
    fields.finish()?;
    if function.is_none() && weight.is_none() {
        return Err(node.fail("a function needs `weight`, `field_value_factor` or `random_score`"));
    }
    Ok(ScoreFunction { filter, function, weight: weight.unwrap_or(1.0) })
}

fn weight(fields: &mut Fields<'_>) -> Result<Option<f32>> {
    fields.any(&["weight", "boost_factor"]).map(|it| it.f32()).transpose()
}

fn function(fields: &mut Fields<'_>) -> Result<Option<Function>> {
    fields.refuse(&["script_score", "gauss", "exp", "linear"])?;
    let random = match fields.take("random_score") {
        Some(node) => {
            let mut options = node.fields("random_score")?;
            let seed = options.take("seed").map(|it| it.i64()).transpose()?;
            options.finish()?;
            Some(Function::Random { seed })
        }
        None => None,
    };
    let factor = match fields.take("field_value_factor") {
        Some(node) => Some(Function::FieldValueFactor(field_value_factor(&node)?)),
        None => None,
    };
    if random.is_some() && factor.is_some() {
        return Err(fields.node.fail("two functions in one place: put each into `functions`"));
    }
    Ok(random.or(factor))
}

fn field_value_factor(node: &Node<'_>) -> Result<FieldValueFactor> {
    let mut fields = node.fields("field_value_factor")?;
    let field = fields.need("field")?.str()?.to_owned();
    let factor = fields.take("factor").map_or(Ok(1.0), |it| it.f32())?;
    let modifier = fields.take("modifier").map_or(Ok(Modifier::None), |it| {
        it.one_of(&[
            ("none", Modifier::None),
            ("log", Modifier::Log),
            ("log1p", Modifier::Log1p),
            ("log2p", Modifier::Log2p),
            ("ln", Modifier::Ln),
            ("ln1p", Modifier::Ln1p),
            ("ln2p", Modifier::Ln2p),
            ("square", Modifier::Square),
            ("sqrt", Modifier::Sqrt),
            ("reciprocal", Modifier::Reciprocal),
        ])
    })?;
    let missing = fields.take("missing").map(|it| it.f64()).transpose()?;
    fields.finish()?;
    Ok(FieldValueFactor { field, factor, modifier, missing })
}
