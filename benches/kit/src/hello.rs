//! Upper bound for an axum server: JSON hello, and an in-memory document map.
//! `hello <port>`: GET /hello, PUT and GET /docs/{id}. Single-threaded runtime.
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

type Docs = Arc<RwLock<HashMap<String, Value>>>;

async fn put_doc(State(d): State<Docs>, Path(id): Path<String>, Json(v): Json<Value>) -> Json<Value> {
    d.write().unwrap().insert(id.clone(), v);
    Json(json!({"status": 200, "error": null, "result": {"_id": id, "created": true}}))
}

async fn get_doc(State(d): State<Docs>, Path(id): Path<String>) -> (StatusCode, Json<Value>) {
    match d.read().unwrap().get(&id) {
        Some(v) => {
            (StatusCode::OK, Json(json!({"status": 200, "error": null, "result": {"_id": id, "_source": v}})))
        }
        None => (StatusCode::NOT_FOUND, Json(json!({"status": 404}))),
    }
}

fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|p| p.parse().ok()).unwrap_or(18090);
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let app = Router::new()
            .route("/hello", get(|| async { Json(json!({"hello": "world"})) }))
            .route("/docs/{id}", get(get_doc).put(put_doc))
            .with_state(Docs::default());
        let l = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        axum::serve(l, app).await.unwrap();
    });
}
