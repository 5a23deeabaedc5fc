//! `apalis-worker DATABASE WORKER put`: adds a task. `… hold`: claims tasks and never finishes them. `… finish`: claims tasks
//! and is done with them. Each task that is claimed is a line.

use std::time::Duration;

use apalis::prelude::*;
use apalis_sqlite::*;

async fn hold(task: usize, _: WorkerContext) -> Result<(), BoxDynError> {
    println!("{task}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Ok(())
}

async fn finish(task: usize, _: WorkerContext) -> Result<(), BoxDynError> {
    println!("{task}");
    Ok(())
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, database, name, action] = arguments.as_slice() else { panic!("DATABASE WORKER put|hold|finish") };
    let pool = SqlitePool::connect(&format!("sqlite://{database}?mode=rwc")).await.unwrap();
    SqliteStorage::setup(&pool).await.unwrap();
    let mut backend = SqliteStorage::new(&pool);
    let worker = WorkerBuilder::new(name.as_str());
    match action.as_str() {
        "put" => backend.push(7usize).await.unwrap(),
        "hold" => worker.backend(backend).build(hold).run().await.unwrap(),
        "finish" => worker.backend(backend).build(finish).run().await.unwrap(),
        _ => panic!("put, hold or finish"),
    }
}
